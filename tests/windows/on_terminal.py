"""Runs a command with a terminal as its standard input, so that Wine gives it a console.

    python3 tests/windows/on_terminal.py COMMAND [ARGUMENTS]

What the console shows there is read and dropped; standard output and error stay the caller's.
"""

import os
import pty
import subprocess
import sys
import threading


def drop(master):
    try:
        while os.read(master, 65536):
            pass
    except OSError:
        pass  # the last one who had it open has gone


def main():
    master, slave = pty.openpty()
    process = subprocess.Popen(sys.argv[1:], stdin=slave, start_new_session=True)
    os.close(slave)
    threading.Thread(target=drop, args=(master,), daemon=True).start()
    sys.exit(process.wait())


if __name__ == "__main__":
    main()
