"""A name server with the zones of a test (nsd, authoritative for everything it is asked), and the configuration that makes mtad ask it."""
import os
import shutil
import subprocess

from . import core

SOA = "$TTL {ttl}\n@ SOA ns.test. hostmaster.test. 1 3600 600 86400 {ttl}\n@ NS ns.test.\n"


def parts(server="127.0.0.53:53", allow="127.0.0.0/8 ::1/128", port=25, more=""):
    """Statements for Mtad(extra=...): look up at our server, and let MX targets be loopback."""
    return f"resolver {{ stub {server}; timeout 5s }}\nconnect {{ allow {allow}; mx-port {port} }}\n{more}\n"


class NameServer:
    """`zones` maps a zone's name to its records (in master file format, without SOA and NS); None makes a zone that is configured and cannot be
    served: SERVFAIL. Names outside of all zones are answered by a root zone of ours with NXDOMAIN."""

    def __init__(self, world, zones, address="127.0.0.53", port=53, ttl=1):
        if not shutil.which("nsd"):
            raise core.Skip("nsd is not installed")
        self.folder = world.folder / f"nsd-{address}"
        self.folder.mkdir()
        self.ttl, self.zones = ttl, {".": "", **zones}
        text = (f'server:\n ip-address: {address}\n port: {port}\n username: ""\n chroot: ""\n zonesdir: "{self.folder}"\n database: ""\n'
                f' pidfile: "{self.folder}/pid"\n xfrdfile: "{self.folder}/xfrd"\n zonelistfile: "{self.folder}/list"\n xfrdir: "{self.folder}"\n'
                f' server-count: 1\n verbosity: 1\nremote-control:\n control-enable: no\n')
        for number, (name, records) in enumerate(self.zones.items()):
            text += f"zone:\n name: {name}\n zonefile: {number}.zone\n"
            if records is not None:
                (self.folder / f"{number}.zone").write_text(SOA.format(ttl=ttl) + records + "\n")
        (self.folder / "nsd.conf").write_text(text)
        self.address, self.port = address, port
        self.start()
        world.add(self)

    def start(self):
        self.process = subprocess.Popen([shutil.which("nsd"), "-d", "-c", str(self.folder / "nsd.conf")], stdin=subprocess.DEVNULL,
                                        stdout=open(self.folder / "output", "ab"), stderr=subprocess.STDOUT, env=dict(os.environ))
        core.wait_port(self.address, self.port, self.process, lambda: (self.folder / "output").read_text())

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
