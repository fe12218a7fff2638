"""The log's shapes: counted by pflogsumm as Postfix's are; reopened on SIGHUP; nothing foreign breaks a line."""
import os
import re
import signal
import socket
import subprocess

from harness import mail, postfix, smtp
from harness.core import Skip, limit, wait_for
from harness.smtp import Client, Sink


def pflogsumm(path):
    program = postfix.PEERS / "usr/sbin/pflogsumm"
    if not program.exists():
        raise Skip("no pflogsumm in build-peers: tests/peers/unpack could not fetch it")
    library = f"{postfix.PEERS}/usr/share/perl5:" + ":".join(str(p) for p in postfix.PEERS.glob("usr/lib/*/perl5/*"))
    done = subprocess.run(["perl", str(program), "--syslog-name", "mta", str(path)], capture_output=True, text=True, env=dict(os.environ, PERL5LIB=library, LC_ALL="C"))
    assert done.returncode == 0, done.stderr
    return {name.strip(): int(number) for number, name in re.findall(r"^\s+(\d+)\s{1,3}([a-z][a-z ]+?)(?:\s+\(.*)?$", done.stdout, re.M)}, done.stdout


@limit(60)
def test_pflogsumm_counts(world):
    Sink(("127.0.0.7", 25))
    Sink(("127.0.0.2", 25), answers={"RCPT": lambda s, line: b"550 5.1.1 no\r\n" if "no@" in line else b"450 4.2.0 later\r\n" if "late@" in line else None})
    log = world.folder / "mta" / "mail.log"
    mta = world.mtad(listen="listen main { address 127.0.0.1:25; trust 127.0.0.1/32 }",
                     routes="route home { match rcpt-domain from.example; relay smtp://127.0.0.7:25 }\nroute out { match any; relay smtp://127.0.0.2:25 }",
                     queue="retry 30m; expire 1d", extra="log { file @DIR@/mail.log }")
    client = Client()
    for n in range(10):
        assert client.send("a@from.example", ["yes@to.example", "also@to.example"], mail.message(n))[0] == 250
    for n in range(3):
        assert client.send("a@from.example", "no@to.example", mail.message(n))[0] == 250
    for n in range(2):
        assert client.send("a@from.example", "late@to.example", mail.message(n))[0] == 250
    for n in range(4):
        stranger = Client(source="127.0.0.9")
        stranger.say("MAIL FROM:<a@from.example>")
        assert stranger.say("RCPT TO:<b@to.example>")[0] == 554
        stranger.say("QUIT")
    client.say("QUIT")
    wait_for("all is logged", lambda: log.exists() and log.read_text().count("status=") == 20 + 3 + 3 + 2 and log.read_text().count("disconnect from") == 5, 20)
    mta.stop()
    counts, text = pflogsumm(log)
    assert counts["received"] == 10 + 3 + 2, text
    assert counts["delivered"] == 20 + 3 and counts["deferred"] == 2 and counts["bounced"] == 3 and counts["rejected"] == 4, text


def test_reopened_on_sighup(world):
    Sink()
    log = world.folder / "mta" / "mail.log"
    mta = world.mtad(extra="log { file @DIR@/mail.log }")
    assert Client().send("a@from.example", "b@to.example", mail.message(1))[0] == 250
    wait_for("written", lambda: log.exists() and "removed" in log.read_text())
    log.rename(world.folder / "mta" / "mail.log.1")
    mta.process.send_signal(signal.SIGHUP)
    wait_for("a new file", log.exists)
    assert Client().send("a@from.example", "b@to.example", mail.message(2))[0] == 250
    wait_for("written to the new one", lambda: "removed" in log.read_text())


def test_foreign_text_stays_on_its_line(world):
    Sink(answers={"RCPT": b"550 5.1.1 no\x0b\x0c\x1b[2J \x85 %s%n\r\n"})
    mta = world.mtad()
    client = Client(greet=None)
    client.say(b"EHLO a\x1b[31m.example")
    client.say("EHLO client.example")
    client.say(b"FROB \x01\x02\xff\xfe")
    code, text = client.send("a@from.example", '"x y%s%n"@to.example', "Message-ID: <a\x1b[31mb%n@c>\r\nSubject: %s%n\r\n\r\nhi\r\n")
    assert code == 250, text
    mta.wait_log("status=bounced")
    with open(mta.log_path, "rb") as f:
        log = f.read()
    for line in log.splitlines():
        assert all(32 <= c < 127 for c in line), line
    for line in log.decode().splitlines():
        assert re.match(r"^(\w{3} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ mta/[a-z/-]+\[\d+\]: ", line) or "mtad" in line or line.endswith("ready"), line


def test_lines_of_one_message(world):
    Sink()
    mta = world.mtad()
    code, text = Client().send("a@from.example", ["b@to.example", "c@to.example"], mail.message("one"))
    number = text.split()[-1]
    mta.wait_log(f"{number}: removed")
    log = mta.log()
    for shape in (r"mta/smtpd\[\d+\]: connect from \S+\[127\.0\.0\.1\]", rf"mta/smtpd\[\d+\]: {number}: client=\S+\[127\.0\.0\.1\]",
                  rf"mta/cleanup\[\d+\]: {number}: message-id=<id-one-x@ledger\.example>", rf"mta/qmgr\[\d+\]: {number}: from=<a@from\.example>, size=\d+, nrcpt=2 \(queue active\)",
                  rf"mta/smtp\[\d+\]: {number}: to=<b@to\.example>, relay=127\.0\.0\.2\[127\.0\.0\.2\]:25, delay=[\d.]+, delays=[\d.]+/[\d.]+/[\d.]+/[\d.]+, dsn=2\.0\.0, status=sent \(250 2\.0\.0 Ok: taken\)",
                  rf"mta/qmgr\[\d+\]: {number}: removed"):
        assert re.search(shape, log), (shape, log)
    assert len(re.findall(rf"{number}: to=<", log)) == 2, "one final line a recipient"


def test_syslog(world):
    """Lines are datagrams to /dev/log; the line that ends in `ready` is on standard error as well. A syslog that does not read stops no mail."""
    devices = world.folder / "dev"
    devices.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", devices], check=True)
    subprocess.run(["cp", "-a", "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", devices], check=True)
    subprocess.run(["mount", "--bind", devices, "/dev"], check=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind("/dev/log")
    os.chmod("/dev/log", 0o666)
    sink = world.add(Sink())
    world.mtad(extra="log { syslog }")   # waits for the line
    listener.settimeout(2)
    lines = []
    while not (lines and lines[-1].endswith(b"ready")):
        lines.append(listener.recv(8192))
    assert all(line.startswith(b"<22>mta/master[") for line in lines), lines
    for i in range(100):   # many more lines than such a socket keeps
        assert Client().send("a@back.example", f"b{i}@far.example", "Subject: x\n\nx\n")[0] == 250
    sink.wait(100)
