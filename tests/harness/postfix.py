"""An unpacked Postfix (tests/peers/unpack) as next hop and as client, and its smtp-source and smtp-sink. Nothing of it is installed: every path is given."""
import os
import pathlib
import socketserver
import subprocess
import threading

from . import core

PEERS = core.ROOT / "build-peers" / "root"
LIBRARIES = PEERS / "usr/lib/postfix"
# Two users that base-passwd gives to every Debian, so that no account has to be made.
OWNER, OWN_UID = "mail", 8
DROP_GROUP, DROP_GID = "news", 9

MASTER = """
pickup    unix  n       -       n       60      1       pickup
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
verify    unix  -       -       n       -       1       verify
proxymap  unix  -       -       n       -       -       proxymap
smtp      unix  -       -       n       -       -       smtp
relay     unix  -       -       n       -       -       smtp
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
virtual   unix  -       n       n       -       -       virtual
anvil     unix  -       -       n       -       1       anvil
scache    unix  -       -       n       -       1       scache
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
postlog   unix-dgram n  -       n       -       1       postlogd
"""

MAIN = """
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
command_directory = {peers}/usr/sbin
daemon_directory = {peers}/usr/lib/postfix/sbin
shlib_directory = {peers}/usr/lib/postfix
meta_directory = {folder}/etc
sendmail_path = {peers}/usr/sbin/sendmail
newaliases_path = {peers}/usr/sbin/sendmail
mailq_path = {peers}/usr/sbin/sendmail
manpage_directory = {peers}/usr/share/man
mail_owner = {owner}
setgid_group = {group}
import_environment = LD_LIBRARY_PATH MAIL_CONFIG TZ LANG=C
export_environment = LD_LIBRARY_PATH MAIL_CONFIG TZ LANG
maillog_file = {folder}/log
maillog_file_prefixes = /
myhostname = postfix.example
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8 [::1]/128
inet_protocols = all
smtp_address_preference = any
smtpd_peername_lookup = no
disable_dns_lookups = yes
smtp_host_lookup = native
biff = no
in_flow_delay = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
message_size_limit = 10000000
default_database_type = texthash
smtp_tls_security_level = none
smtpd_restriction_classes = greylist
greylist = check_policy_service inet:127.0.0.1:10023
"""


def needs():
    if os.geteuid() != 0 or os.path.getsize("/proc/self/uid_map") and "4294967295" not in open("/proc/self/uid_map").read():
        raise core.Skip("Postfix changes its uid: needs root")
    if not (PEERS / "usr/sbin/smtp-sink").exists():
        raise core.Skip("no Postfix in build-peers: tests/peers/unpack could not fetch it")


def environment():
    more = PEERS / "usr/lib/x86_64-linux-gnu"
    return dict(os.environ, LD_LIBRARY_PATH=f"{LIBRARIES}:{more}")


def tool(name):
    needs()
    return str(PEERS / "usr/sbin" / name)


class Postfix:
    """One instance. `main` and `access` are texts: more of main.cf, and recipient patterns with what check_recipient_access says of them
    (`greylist` asks the Greylist below). Mail for @post.example goes into one Maildir; everything else to `relayhost`."""

    def __init__(self, world, listen="127.0.0.2:25", main="", access="", relayhost="", name="postfix"):
        needs()
        self.folder = world.folder / name
        self.listen = listen
        for part in ("etc", "data", "spool/pid", "spool/public", "spool/private", "spool/maildrop", *(
                f"spool/{q}" for q in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "saved", "trace"))):
            (self.folder / part).mkdir(parents=True)
        for path in [self.folder / "data", *(self.folder / "spool").iterdir()]:
            if path.name != "pid":
                os.chown(path, OWN_UID, 0)
        os.chown(self.folder / "spool/maildrop", OWN_UID, DROP_GID)
        os.chown(self.folder / "spool/public", OWN_UID, DROP_GID)
        self.mail = self.folder / "mail"
        self.mail.mkdir()
        os.chown(self.mail, OWN_UID, OWN_UID)
        (self.folder / "etc/access").write_text(access)
        (self.folder / "etc/dynamicmaps.cf").write_text("")
        (self.folder / "etc/boxes").write_text("@post.example post/\n")
        text = MAIN.format(folder=self.folder, peers=PEERS, owner=OWNER, group=DROP_GROUP)
        text += (f"virtual_mailbox_domains = post.example\nvirtual_mailbox_base = {self.mail}\n"
                 f"virtual_mailbox_maps = texthash:{self.folder}/etc/boxes\nvirtual_uid_maps = static:{OWN_UID}\nvirtual_gid_maps = static:{OWN_UID}\n"
                 f"virtual_minimum_uid = 1\n")
        if "smtpd_recipient_restrictions" not in main:
            text += f"smtpd_recipient_restrictions = check_recipient_access texthash:{self.folder}/etc/access, permit_mynetworks, reject\n"
        # Else Postfix takes every loopback address for itself; and it wants its own to be an interface's.
        address = listen.rsplit(":", 1)[0]
        text += f"inet_interfaces = {address}\n"
        subprocess.run(["ip", "address", "replace", f"{address}/8", "dev", "lo"], check=True)
        if relayhost:
            text += f"relayhost = {relayhost}\n"
        given = {line.split("=")[0].strip() for line in main.splitlines() if "=" in line}  # Postfix warns of what is set twice
        kept = [line for line in text.splitlines() if line.split("=")[0].strip() not in given]
        (self.folder / "etc/main.cf").write_text("\n".join(kept) + "\n" + main + "\n")
        (self.folder / "etc/master.cf").write_text(f"{listen} inet n - n - - smtpd\n" + MASTER)
        self.process = subprocess.Popen([str(PEERS / "usr/lib/postfix/sbin/master"), "-c", str(self.folder / "etc"), "-d"],
                                        env=dict(environment(), MAIL_CONFIG=str(self.folder / "etc")), stdin=subprocess.DEVNULL,
                                        stdout=open(self.folder / "output", "wb"), stderr=subprocess.STDOUT, start_new_session=True)
        world.add(self)
        host, port = listen.rsplit(":", 1)
        core.wait_port(host.strip("[]"), int(port), self.process, lambda: (self.folder / "output").read_text() + self.log())

    def log(self):
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def arrived(self):
        """Contents of the Maildir."""
        return [p.read_bytes() for p in sorted((self.mail / "post/new").glob("*"))]

    def wait_arrived(self, count, seconds=30):
        return core.wait_for(f"{count} messages in Postfix's Maildir", lambda: len(self.arrived()) >= count and self.arrived(), seconds, 0.1)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Greylist:
    """A policy service of Postfix: the first try of each client, sender, recipient is deferred, later ones are taken."""

    def __init__(self, world, port=10023, tries=1):
        seen, lock = {}, threading.Lock()
        self.seen = seen

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                attributes = {}
                for line in self.rfile:
                    text = line.decode(errors="replace").strip()
                    if text:
                        key, _, value = text.partition("=")
                        attributes[key] = value
                        continue
                    who = tuple(attributes.get(k) for k in ("client_address", "sender", "recipient"))
                    with lock:
                        seen[who] = seen.get(who, 0) + 1
                        first = seen[who] <= tries
                    self.wfile.write(b"action=%s\n\n" % (b"450 4.7.1 Greylisted, try again later" if first else b"dunno"))
                    attributes = {}

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

        self.server = Server(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        world.add(self)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def source(target, count, sessions=10, size=4096, recipients=1, sender="source@from.example", to="sink@to.example", more=(), reuse=True, seconds=60):
    """Run smtp-source to its end."""
    argv = [tool("smtp-source"), "-s", str(sessions), "-m", str(count), "-l", str(size), "-r", str(recipients), "-f", sender, "-t", to, *more]
    if reuse:
        argv.append("-d")
    done = subprocess.run([*argv, target], env=environment(), capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, f"smtp-source ended with {done.returncode}: {done.stdout}{done.stderr}"


class SmtpSink:
    """smtp-sink with options of its own; `dump` keeps each message in a file."""

    def __init__(self, world, listen="127.0.0.2:25", options=(), backlog=256, dump=False, folder=None):
        self.output = world.folder / f"smtp-sink.{listen}"
        self.folder = world.folder / (folder or f"smtp-sink-mail.{listen}")
        if dump:
            self.folder.mkdir()
            os.chown(self.folder, OWN_UID, OWN_UID)
            options = [*options, "-d", f"{self.folder}/%M."]
        self.process = subprocess.Popen([tool("smtp-sink"), "-c", "-u", OWNER, *options, listen, str(backlog)], env=environment(), stdin=subprocess.DEVNULL,
                                        stdout=open(self.output, "wb"), stderr=subprocess.STDOUT)
        world.add(self)
        host, port = listen.rsplit(":", 1)
        core.wait_port(host.strip("[]"), int(port), self.process, lambda: self.output.read_text(errors="replace"))

    def stop(self):
        self.process.terminate()
        self.process.wait()
