#!/usr/bin/env python3
"""docs/proof.md names tests; this fails when one of them is not there, and when a rule or a fault has
no line. A reference is `FILE` or `FILE: NAME, NAME`; files of the tests have unique names.

Run: proof.py SOURCE_DIRECTORY
"""
import pathlib
import re
import sys

REFERENCE = re.compile(r"`([\w.-]+\.(?:c|py|txt))(?:: ([\w,\s]+))?`")
RULES = range(1, 35)
FAULTS = range(1, 21)


def numbers(text, title):
    """The numbers of the first column below a heading."""
    part = text.split("\n## %s\n" % title, 1)[1].split("\n## ", 1)[0]
    return {int(number) for number in re.findall(r"^\| (\d+) \|", part, re.MULTILINE)}


def main(source):
    text = (source / "docs" / "proof.md").read_text(encoding="utf-8")
    files = {}
    for path in (source / "tests").rglob("*"):
        if path.name != "CMakeLists.txt" or path.parent == source / "tests":
            files.setdefault(path.name, path)
    faults = []
    count = 0
    for name, functions in REFERENCE.findall(text):
        path = files.get(name)
        if path is None:
            faults.append("%s is not among the tests" % name)
            continue
        content = path.read_text(encoding="utf-8")
        for function in re.findall(r"\w+", functions):
            count += 1
            if not re.search(r"\b%s\b" % function, content):
                faults.append("%s has no %s" % (name, function))
    for title, wanted in (("Rules", RULES), ("Faults", FAULTS)):
        missing = set(wanted) - numbers(text, title)
        if missing:
            faults.append("%s without a line: %s" % (title, sorted(missing)))
    for fault in faults:
        print("docs/proof.md: " + fault)
    print("%d references to tests, %d faults" % (count, len(faults)))
    return 1 if faults or not count else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: proof.py SOURCE_DIRECTORY")
    sys.exit(main(pathlib.Path(sys.argv[1])))
