"""Certificates for tests of TLS, made by the program openssl: two authorities, and what the first of
them signed."""

import base64
import os
import subprocess


def openssl(*arguments):
    return subprocess.run(["openssl", *arguments], check=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


def write(path, text, mode=0o644):
    with open(path, "w") as out:
        out.write(text)
    os.chmod(path, mode)


EC = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("rsa:2048",)


class Authority:
    """A certificate authority with what it signed, in a directory. `kind`: of all keys."""

    def __init__(self, top, kind=EC):
        self.top = top
        self.kind = kind
        for name in ("ca", "other-ca"):
            openssl("req", "-x509", "-newkey", *kind, "-nodes", "-keyout",
                    self.path(name + ".key"), "-out", self.path(name + ".pem"), "-subj",
                    "/CN=Spoor test " + name, "-days", "2")

    def path(self, name):
        return os.path.join(self.top, name)

    def issue(self, name, host="localhost", days="2"):
        write(self.path(name + ".ext"), "subjectAltName=DNS:%s,IP:127.0.0.1\n" % host
              if host == "localhost" else "subjectAltName=DNS:%s\n" % host)
        openssl("req", "-newkey", *self.kind, "-nodes", "-keyout", self.path(name + ".key"),
                "-out", self.path(name + ".csr"), "-subj", "/CN=" + name)
        openssl("x509", "-req", "-in", self.path(name + ".csr"), "-CA", self.path("ca.pem"),
                "-CAkey", self.path("ca.key"), "-CAcreateserial", "-out",
                self.path(name + ".pem"), "-days", days, "-extfile", self.path(name + ".ext"))
        os.chmod(self.path(name + ".key"), 0o600)

    def pin(self, name):
        public = openssl("x509", "-in", self.path(name + ".pem"), "-pubkey", "-noout")
        write(self.path(name + ".pub"), public.decode())
        der = openssl("pkey", "-pubin", "-in", self.path(name + ".pub"), "-outform", "der")
        write(self.path("der"), "")
        with open(self.path("der"), "wb") as out:
            out.write(der)
        digest = openssl("dgst", "-sha256", "-binary", self.path("der"))
        return "sha256//" + base64.b64encode(digest).decode()
