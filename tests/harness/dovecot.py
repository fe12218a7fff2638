"""An unpacked Dovecot (tests/peers/unpack dovecot): LMTP to deliver to, and IMAP to read what arrived.

Its paths are compiled in, so it is laid over /usr in the mount namespace of the test; nothing is installed, and nobody else sees it.
"""
import grp
import imaplib
import os
import pathlib
import pwd
import subprocess

from . import core

PEER = core.ROOT / "build-peers" / "dovecot" / "root"
PASSWORD = "open-sesame"

CONFIG = """
protocols = imap lmtp
listen = {address}
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
info_log_path = {folder}/log
mail_location = maildir:{folder}/mail/%d/%n
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {other}
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_verbose = yes
lmtp_save_to_detail_mailbox = no
lmtp_rcpt_check_quota = no
recipient_delimiter = +
mail_plugins = quota
passdb {{
  driver = passwd-file
  args = username_format=%u {folder}/users
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {folder}/users
}}
plugin {{
  quota = maildir:User quota
  quota_rule = *:storage=100M
  quota_full_tempfail = no
}}
service lmtp {{
  unix_listener lmtp {{
    mode = {mode}
  }}
  inet_listener lmtp {{
    address = {address}
    port = {lmtp_port}
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = 0
  }}
  chroot =
}}
service anvil {{
  chroot =
}}
protocol lmtp {{
  postmaster_address = postmaster@dovecot.example
}}
{more}
"""


def needs():
    if os.geteuid() != 0 or "4294967295" not in open("/proc/self/uid_map").read():
        raise core.Skip("Dovecot changes its uid: needs root")
    if not (PEER / "usr/sbin/dovecot").exists():
        raise core.Skip("no Dovecot in build-peers: tests/peers/unpack dovecot could not fetch it")


class Dovecot:
    """One instance. `users` have mailboxes; a value is a quota such as 1K, or None. `socket` is where it takes LMTP; TCP is `lmtp_port`."""

    def __init__(self, world, users, address="127.0.0.3", lmtp_port=24, imap_port=143, mode="0600", more="", name="dovecot"):
        needs()
        self.world, self.folder, self.address, self.imap_port = world, world.folder / name, address, imap_port
        self.user, self.other = pwd.getpwnam("mail"), pwd.getpwnam("news")
        for part in ("run", "state", "mail"):
            (self.folder / part).mkdir(parents=True)
        os.chown(self.folder / "mail", self.user.pw_uid, self.user.pw_gid)
        rows = []
        for address_, quota in users.items():
            extra = f"userdb_quota_rule=*:storage={quota}" if quota else ""
            rows.append(f"{address_}:{{PLAIN}}{PASSWORD}:{self.user.pw_uid}:{self.user.pw_gid}::::{extra}\n")
        (self.folder / "users").write_text("".join(rows))
        (self.folder / "users").chmod(0o644)
        self.socket = self.folder / "run/lmtp"
        (self.folder / "dovecot.conf").write_text(CONFIG.format(
            folder=self.folder, address=address, user=self.user.pw_name, group=grp.getgrgid(self.user.pw_gid).gr_name, other=self.other.pw_name,
            lmtp_port=lmtp_port, imap_port=imap_port, mode=mode, more=more))
        if not pathlib.Path("/usr/lib/dovecot/lmtp").exists():
            subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={PEER}/usr:/usr", "/usr"], check=True)
        world.add(self)
        self.start()

    def start(self):
        self.process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", str(self.folder / "dovecot.conf")], stdin=subprocess.DEVNULL,
                                        stdout=open(self.folder / "output", "ab"), stderr=subprocess.STDOUT, start_new_session=True)
        core.wait_port(self.address, self.imap_port, self.process, lambda: (self.folder / "output").read_text() + self.log())
        core.wait_for("Dovecot's LMTP socket", self.socket.exists)

    def log(self):
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def read(self, user, folder="INBOX"):
        """Contents of a mailbox, read by IMAP."""
        imap = imaplib.IMAP4(self.address, self.imap_port)
        try:
            imap.login(user, PASSWORD)
            code, text = imap.select(folder, readonly=True)
            assert code == "OK", text
            numbers = imap.search(None, "ALL")[1][0].split()
            return [imap.fetch(n.decode(), "(BODY.PEEK[])")[1][0][1] for n in numbers]
        finally:
            imap.logout()

    def wait_read(self, user, count=1, seconds=30):
        return core.wait_for(f"{count} messages for {user}", lambda: (lambda got: len(got) >= count and got)(self.read(user)), seconds, 0.2)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
