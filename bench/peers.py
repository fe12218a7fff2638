"""Exim and OpenSMTPD as systems under test. Their paths are compiled in, so they run unpacked (tests/peers/unpack) in mount namespaces of their own
(bench/contain.py), with the best configuration for this load that we know: nothing waits on purpose, and no limit is below the load's."""
import pathlib
import subprocess
import sys

import meters
import systems
from harness import core

HERE = pathlib.Path(__file__).resolve().parent
FIRST_UID = 990  # of the users that these servers want to find; they exist in their namespace only

EXIM = """
exim_path = /usr/sbin/exim4
spool_directory = /var/spool/exim4
split_spool_directory = true
log_file_path = {upper}/log/%slog
primary_hostname = exim.example
keep_environment =
local_interfaces = 127.0.0.1
daemon_smtp_ports = {listen}
smtp_connect_backlog = 1024
smtp_accept_max = 0
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
pipelining_advertise_hosts = *
message_size_limit = {size_max}
recipients_max = 0
remote_max_parallel = {concurrency}
acl_smtp_rcpt = accept
acl_smtp_data = accept
begin routers
out:
  driver = manualroute
  transport = remote
  route_list = * 127.0.0.2::{sink}
  self = send
begin transports
remote:
  driver = smtp
  allow_localhost
  connection_max_messages = 0
begin retry
* * F,1h,1m
"""

OPENSMTPD = """
listen on 127.0.0.1 port {listen} hostname opensmtpd.example
smtp max-message-size "{size_max}"
smtp limit max-mails 1000000
smtp limit max-rcpt 1000000
mta max-deferred 1000000
mta limit max-conn-per-host {concurrency}
mta limit max-conn-per-route {concurrency}
mta limit max-conn-per-source {concurrency}
mta limit max-conn-per-connector {concurrency}
mta limit max-conn-per-relay {concurrency}
mta limit max-conn-per-domain {concurrency}
mta limit conn-delay-host 0
mta limit conn-delay-source 0
mta limit conn-delay-connector 0
mta limit conn-delay-relay 0
mta limit conn-delay-domain 0
mta limit session-mail-max 1000000
mta limit session-transaction-delay 0
mta limit session-keepalive 600
scheduler limit max-inflight 100000
action "out" relay host smtp://127.0.0.2:{sink}
match from any for any action "out"
"""


class Contained(systems.System):
    """A server in a view of the file system of its own. Subclasses say what it is to find there, and what is run."""

    users, command, file, text, sink_options = [], [], "", "", []

    def __init__(self, world, memory, options, sink):
        super().__init__(type(self).__name__.lower(), memory, lambda *where: sink(*where, *self.sink_options))
        self.upper = world.folder / self.name
        root = core.ROOT / "build-peers" / self.name / "root"
        if not (root / "usr").exists():
            raise systems.Failed(f"{self.name} is not unpacked: tests/peers/unpack {self.name}")
        for part in ("etc", "spool", "run", "log"):
            (self.upper / part).mkdir(parents=True)
        (self.upper / "usr").symlink_to(root / "usr")
        self.make_users()
        self.prepare()
        self.config = self.text.format(upper=self.upper, listen=self.listen_port, sink=self.sink_port, concurrency=options.postfix_concurrency,
                                       size_max=max(50_000_000, 2 * options.size))
        path = self.upper / "etc" / self.file
        path.parent.mkdir(exist_ok=True)
        path.write_text(self.config)
        path.chmod(0o644)
        self.process = subprocess.Popen([sys.executable, str(HERE / "contain.py"), str(self.upper), *self.command], stdin=subprocess.DEVNULL,
                                        stdout=open(self.upper / "log/output", "wb"), stderr=subprocess.STDOUT, start_new_session=True)
        world.add(self)
        core.wait_port("127.0.0.1", self.listen_port, self.process, self.words, 60)
        self.pid = self.process.pid

    def make_users(self):
        for path in ("passwd", "group"):
            lines = pathlib.Path("/etc", path).read_text()
            for number, user in enumerate(self.users):
                lines += f"{user}:x:{FIRST_UID + number}:" + (f"{FIRST_UID + number}::/nonexistent:/usr/sbin/nologin\n" if path == "passwd" else "\n")
            (self.upper / "etc" / path).write_text(lines)

    def prepare(self):
        pass

    def words(self):
        return "".join(p.read_text(errors="replace")[-2000:] for p in sorted((self.upper / "log").glob("*")))

    def configuration(self):
        return self.config

    def stop(self):
        for pid in reversed(meters.tree(self.process.pid)):
            subprocess.run(["kill", "-9", str(pid)], check=False, stderr=subprocess.DEVNULL)
        self.process.wait()


class Exim(Contained):
    users, file, text = ["Debian-exim"], "exim4/exim4.conf", EXIM
    command = ["/usr/sbin/exim4", "-bdf", "-q1m"]

    def prepare(self):
        (self.upper / "spool/exim4").mkdir()
        for path in (self.upper / "spool/exim4", self.upper / "log"):
            subprocess.run(["chown", f"{FIRST_UID}:{FIRST_UID}", str(path)], check=True)

    def left(self):
        return sum(1 for path in (self.upper / "spool/exim4/input").rglob("*-H"))

    def version(self):
        return "Exim " + meters.first_line(["dpkg-deb", "-f", str(next((core.ROOT / "build-peers/exim/deb").glob("exim4-daemon*"))), "Version"])


class OpenSmtpd(Contained):
    users, file, text = ["opensmtpd", "opensmtpq"], "smtpd.conf", OPENSMTPD
    command = ["/usr/sbin/smtpd", "-d"]
    sink_options = ["--quick-ack"]  # it writes a message in pieces and leaves Nagle's algorithm on: else each message waits 40 ms for the sink's kernel

    def prepare(self):
        (self.upper / "lib/opensmtpd/empty").mkdir(parents=True)
        (self.upper / "spool/smtpd").mkdir(mode=0o711)
        # Names come from files: nothing is asked over a network that is not there.
        (self.upper / "etc/resolv.conf").write_text("lookup file\n")
        (self.upper / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.0.2 sink.example\n")
        (self.upper / "etc/mailname").write_text("opensmtpd.example\n")

    def left(self):
        return sum(1 for path in (self.upper / "spool/smtpd/queue").glob("*/*/message"))

    def version(self):
        return "OpenSMTPD " + meters.first_line(["dpkg-deb", "-f", str(next((core.ROOT / "build-peers/opensmtpd/deb").glob("opensmtpd*"))), "Version"])


def make(name, world, memory, options, sink):
    if name == "exim":
        return Exim(world, memory, options, sink)
    if name == "opensmtpd":
        return OpenSmtpd(world, memory, options, sink)
    return systems.make(name, world, memory, options, sink)
