"""A signed root of our own, served by knot on loopback, with its trust anchor: for tests of DNSSEC and DANE."""
import os
import shutil
import subprocess

from . import core

SOA = "$TTL 1\n@ SOA ns.test. hostmaster.test. {serial} 3600 600 86400 1\n@ NS ns.test.\n"
GLUE = "ns.test. A 127.0.0.53\n"


class SignedServer:
    """`root` has the records of the root zone, which is signed; `children` maps names to (records, how) of zones below it: how is "unsigned" (delegated
    without DS), "bogus" (delegated with a DS that is not its own), or "signed" (with the right one)."""

    def __init__(self, world, root, children=None, address="127.0.0.53", port=53):
        if not shutil.which("knotd") or not shutil.which("keymgr"):
            raise core.Skip("knot is not installed")
        self.folder = world.folder / "knot"
        self.folder.mkdir(mode=0o755)
        self.address, self.port, self.serial = address, port, 1
        self.root, self.children = root, children or {}
        text = (f"server:\n    rundir: {self.folder}\n    listen: {address}@{port}\n    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n"
                f"log:\n  - target: stdout\n    any: info\ndatabase:\n    storage: {self.folder}\n    journal-db-max-size: 20M\n    kasp-db-max-size: 20M\n"
                f"    timer-db-max-size: 2M\n"
                "policy:\n  - id: one\n    algorithm: ecdsap256sha256\n    single-type-signing: on\n    nsec3: off\n"
                f"template:\n  - id: default\n    storage: {self.folder}\n    zonefile-sync: -1\n    zonefile-load: whole\n    journal-content: none\nzone:\n")
        for name in (".", *self.children):
            signed = name == "." or self.children[name][1] != "unsigned"
            text += f"  - domain: {name}\n    file: {self.file(name)}\n" + ("    dnssec-signing: on\n    dnssec-policy: one\n" if signed else "")
        self.config = self.folder / "knot.conf"
        self.config.write_text(text)
        for name in (".", *self.children):
            if name == "." or self.children[name][1] != "unsigned":
                self.keymgr(name, "generate", "algorithm=ecdsap256sha256", "ksk=yes", "zsk=yes")
        self.write()
        self.anchor = self.folder / "anchor"
        self.anchor.write_text(self.ds("."))
        self.process = subprocess.Popen([shutil.which("knotd"), "-c", str(self.config)], stdin=subprocess.DEVNULL, stdout=open(self.folder / "output", "ab"),
                                        stderr=subprocess.STDOUT, env=dict(os.environ))
        world.add(self)
        core.wait_port(address, port, self.process, lambda: (self.folder / "output").read_text())

    def file(self, name):
        return f"zone-{name.strip('.') or 'root'}"

    def keymgr(self, *arguments):
        done = subprocess.run([shutil.which("keymgr"), "-c", str(self.config), *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ds(self, name):
        return "\n".join(line for line in self.keymgr(name, "ds").splitlines() if " 2 " in line or line.split()[-2] == "2") + "\n"

    def write(self):
        soa = SOA.format(serial=self.serial)
        delegations = ""
        for name, (records, how) in self.children.items():
            (self.folder / self.file(name)).write_text(soa + records + "\n")
            delegations += f"{name}. NS ns.test.\n"
            if how == "signed":
                delegations += self.ds(name)
            if how == "bogus":
                delegations += f"{name}. DS 12345 13 2 {'ab' * 32}\n"
        (self.folder / self.file(".")).write_text(soa + GLUE + self.root + "\n" + delegations)

    def change(self, root):
        """Other records in the root zone, from now on."""
        self.root = root
        self.serial += 1
        self.write()
        done = subprocess.run([shutil.which("knotc"), "-s", str(self.folder / "knot.sock"), "-b", "zone-reload", "."], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr

    def parts(self, more=""):
        """Statements for Mtad(extra=...)."""
        return f"resolver {{ stub {self.address}:{self.port}; timeout 5s; trust-anchor {self.anchor} }}\nconnect {{ allow 127.0.0.0/8; {more} }}\n"

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
