"""What people and programs do to files: single deeds, and random ones by seed."""

import ctypes
import os
import shutil


def write(path, data=b"x"):
    if isinstance(data, str):
        data = data.encode()
    with open(path, "wb") as out:
        out.write(data)


RENAME_EXCHANGE = 2
LIBC = ctypes.CDLL(None, use_errno=True)


def exchange(x, y):
    """renameat2(2) with RENAME_EXCHANGE, which Python has no name for."""
    if LIBC.renameat2(-100, os.fsencode(x), -100, os.fsencode(y), RENAME_EXCHANGE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Mutator:
    """Random work on a folder, by seed: what people and programs do to files."""

    def __init__(self, top, rng, limit=400):
        self.top = top
        self.random = rng
        self.limit = limit  # entries; beyond it more is deleted than made
        self.files = []
        self.dirs = [""]
        self.made = 0

    def at(self, path):
        return os.path.join(self.top, path)

    def fresh(self):
        self.made += 1
        parent = self.random.choice(self.dirs)
        if parent.count("/") > 8:
            parent = ""
        name = self.random.choice(["f%d", "n\u00e4me %d", "x-%d.tmp", "new\nline%d"]) % self.made
        return os.path.join(parent, name)

    def data(self):
        return bytes(self.random.getrandbits(8) for _ in range(self.random.randrange(64)))

    def step(self):
        many = len(self.files) + len(self.dirs) > self.limit
        deeds = [self.create] * 6 + [self.write] * 6 + [self.rename] * 4 + [self.save] * 3 + \
            [self.unlink] * (12 if many else 3) + [self.mkdir] * 3 + [self.move_dir] * 2 + \
            [self.rmtree] * (3 if many else 1) + [self.chmod, self.symlink, self.swap, self.utime,
                                                  self.mkdirs, self.kind_change]
        self.random.choice(deeds)()

    def steps(self, count):
        for _ in range(count):
            self.step()

    def pick(self):
        return self.random.choice(self.files) if self.files else None

    def pick_dir(self):
        return self.random.choice(self.dirs[1:]) if len(self.dirs) > 1 else None

    def create(self):
        path = self.fresh()
        write(self.at(path), self.data())
        self.files.append(path)

    def write(self):
        path = self.pick()
        if path and not os.path.islink(self.at(path)):
            with open(self.at(path), self.random.choice(["ab", "wb", "r+b"])) as out:
                out.write(self.data())

    def rename(self):
        path = self.pick()
        if not path:
            return
        over = self.random.random() < 0.3
        target = self.pick() if over else self.fresh()
        os.rename(self.at(path), self.at(target))
        if target != path:
            self.files.remove(path)
            if target not in self.files:
                self.files.append(target)

    def save(self):
        """As an editor does it."""
        path = self.pick()
        if path:
            write(self.at(path) + "~new", self.data())
            os.rename(self.at(path) + "~new", self.at(path))

    def unlink(self):
        path = self.pick()
        if path:
            os.unlink(self.at(path))
            self.files.remove(path)

    def mkdir(self):
        path = self.fresh()
        os.mkdir(self.at(path))
        self.dirs.append(path)

    def mkdirs(self):
        path = self.fresh()
        for part in ("a", "b", "c"):
            os.mkdir(self.at(path))
            self.dirs.append(path)
            write(self.at(path + "/file"), self.data())
            self.files.append(path + "/file")
            path = path + "/" + part

    def rename_below(self, old, new):
        def changed(path):
            return new + path[len(old):] if path == old or path.startswith(old + "/") else path
        self.files = [changed(path) for path in self.files]
        self.dirs = [changed(path) for path in self.dirs]

    def forget_below(self, old):
        self.files = [path for path in self.files if not path.startswith(old + "/")]
        self.dirs = [path for path in self.dirs
                     if path != old and not path.startswith(old + "/")]

    def move_dir(self):
        path = self.pick_dir()
        if not path:
            return
        target = self.fresh()
        if not (target + "/").startswith(path + "/"):
            os.rename(self.at(path), self.at(target))
            self.rename_below(path, target)

    def rmtree(self):
        path = self.pick_dir()
        if path:
            shutil.rmtree(self.at(path))
            self.forget_below(path)

    def chmod(self):
        path = self.random.choice([self.pick(), self.pick_dir()])
        if path and not os.path.islink(self.at(path)):
            os.chmod(self.at(path), self.random.choice([0o700, 0o755, 0o750, 0o711]))

    def symlink(self):
        path = self.fresh()
        os.symlink(self.random.choice(["nowhere", "/etc", "..", "a\nb"]), self.at(path))
        self.files.append(path)

    def swap(self):
        x, y = self.pick(), self.pick()
        if x and x != y:
            exchange(self.at(x), self.at(y))

    def utime(self):
        path = self.pick()
        if path:
            os.utime(self.at(path), ns=(0, self.random.randrange(2 * 10 ** 18)),
                     follow_symlinks=False)

    def kind_change(self):
        """A file becomes a directory, or a directory without content a file."""
        path = self.pick()
        if path:
            os.unlink(self.at(path))
            os.mkdir(self.at(path))
            self.files.remove(path)
            self.dirs.append(path)
