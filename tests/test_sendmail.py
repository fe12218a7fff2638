"""sendmail(1), mailq and newaliases: called as cron, mail(1), git, PHP and others call them, against a running mtad."""
import os
import pathlib
import re
import subprocess
import threading
import time

from harness.core import BUILD, limit, wait_for
from harness.smtp import Sink

NOBODY = 65534
LISTEN = "mail-domain users.example\nlisten local { socket @DIR@/submit.sock }"


class Command:
    """The three names of one program, with the configuration of one mtad, as other programs find them on their path."""

    def __init__(self, mta):
        self.mta, self.folder = mta, mta.folder / "bin"
        self.folder.mkdir(exist_ok=True)
        for name in ("sendmail", "mailq", "newaliases"):
            place = self.folder / name
            mode = {"sendmail": "", "mailq": " -bp", "newaliases": " -bi"}[name]
            place.write_text(f"#!/bin/sh\nexec {BUILD}/tools/sendmail{mode} -C {mta.config_path} \"$@\"\n")
            place.chmod(0o755)

    def __call__(self, *arguments, text="", name="sendmail", uid=None, timeout=60):
        argv = [str(self.folder / name), *arguments]
        if uid is not None:
            argv = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *argv]
        data = text if isinstance(text, bytes) else text.encode()
        done = subprocess.run(argv, input=data, capture_output=True, timeout=timeout)
        return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


def stage(world, **parts):
    sink = Sink()
    parts.setdefault("listen", LISTEN)
    parts.setdefault("routes", "route no { match rcpt-domain refused.example; reject 550 5.1.1 nobody here }\n"
                               "route later { match rcpt-domain later.example; reject 451 4.3.0 not today }\n"
                               "route out { match local; relay smtp://127.0.0.2:25 }")
    mta = world.mtad(**parts)
    return sink, mta, Command(mta)


CRON = ("From: root (Cron Daemon)\nTo: root\nSubject: Cron <root@web07> /usr/local/bin/job\nMIME-Version: 1.0\n"
        "Content-Type: text/plain; charset=UTF-8\nX-Cron-Env: <SHELL=/bin/sh>\n\nit ran\n.\nto the end\n")
PHP = "To: b@to.example\nSubject: Hello\nX-PHP-Originating-Script: 33:form.php\nFrom: Shop <shop@php.example>\n\nbody\n"

# name, arguments, input, (sender, recipients) of the envelope, check of the message
CASES = [
    ("cron of Debian", ["-i", "-FCronDaemon", "-B8BITMIME", "-oem", "root"], CRON, ("root@users.example", ["root@users.example"]),
     lambda m: m.header("From") == ["root@users.example (Cron Daemon)"] and m.header("To") == ["root@users.example"] and b"\r\n..\r\nto the end" in m.wire),
    ("cron of others", ["-FCronDaemon", "-odi", "-oem", "-oi", "-t", "-f", "root"], CRON, ("root@users.example", ["root@users.example"]), lambda m: True),
    ("mail(1)", ["-i", "--", "ann@to.example", "bob"], "Subject: hi\nTo: ann@to.example, bob\n\nwords\n",
     ("root@users.example", ["ann@to.example", "bob@users.example"]), lambda m: m.header("From")[0].endswith("<root@users.example>")),
    ("mail(1) of bsd-mailx", ["-oi", "-oem", "ann@to.example"], "To: ann@to.example\nSubject: s\n\nb\n", ("root@users.example", ["ann@to.example"]), lambda m: True),
    ("PHP mail()", ["-t", "-i"], PHP, ("root@users.example", ["b@to.example"]), lambda m: m.header("From") == ["Shop <shop@php.example>"]),
    ("PHP mail() with a fifth parameter", ["-t", "-i", "-fbounce@php.example"], PHP, ("bounce@php.example", ["b@to.example"]), lambda m: True),
    ("PHP with CR LF", ["-t", "-i"], PHP.replace("\n", "\r\n"), ("root@users.example", ["b@to.example"]), lambda m: m.content.endswith(b"\r\n\r\nbody\r\n")),
    ("git send-email", ["-f", "dev@git.example", "-i", "a@to.example", "list@to.example"], "From: Dev <dev@git.example>\nTo: a@to.example\n"
     "Subject: [PATCH] x\nMessage-Id: <1@git.example>\nDate: Mon, 30 Nov 2026 10:00:00 +0100\n\n---\n.\n", ("dev@git.example", ["a@to.example", "list@to.example"]),
     lambda m: m.header("Message-Id") == ["<1@git.example>"] and len(m.header("Date")) == 1),
    ("mutt", ["-oem", "-oi", "-f", "me@mutt.example", "-N", "failure,delay", "-R", "hdrs", "-V", "id-1", "--", "a@to.example"], "From: me@mutt.example\n\nx\n",
     ("me@mutt.example", ["a@to.example"]),
     lambda m: "RET=HDRS" in m.mail_line and "ENVID=id-1" in m.mail_line and "NOTIFY=FAILURE,DELAY" in m.rcpt_lines[0].upper()),
    ("Sympa", ["-oi", "-odi", "-oem", "-f", "list-owner@to.example", "-N", "success,delay,failure", "-V", "sympa.1", "a@to.example"], "From: x@y.example\n\nx\n",
     ("list-owner@to.example", ["a@to.example"]), lambda m: True),
    ("logwatch", ["-t"], "To: root\nFrom: root\nSubject: Logwatch for web07\n\nAll is well\n", ("root@users.example", ["root@users.example"]), lambda m: True),
    ("apt-listchanges", ["-oi", "-t"], "To: root\nSubject: =?utf-8?q?apt?=\n\nGrüße\n", ("root@users.example", ["root@users.example"]),
     lambda m: "Grüße".encode() in m.content and "8BITMIME" in m.mail_line),
    ("no header at all", ["a@to.example"], "just text\n", ("root@users.example", ["a@to.example"]),
     lambda m: m.content.endswith(b"\r\n\r\njust text\r\n") and m.header("From") and m.header("Date") and m.header("Message-ID")),
    ("nothing at all", ["a@to.example"], "", ("root@users.example", ["a@to.example"]), lambda m: True),
    ("a name", ["-F", "Jörg Müller", "-f", "j@x.example", "a@to.example"], "Subject: s\n\nb\n", ("j@x.example", ["a@to.example"]),
     lambda m: m.header("From") == ["=?utf-8?B?SsO2cmcgTcO8bGxlcg==?= <j@x.example>"]),
    ("the null sender", ["-f", "<>", "a@to.example"], "Subject: s\n\nb\n", ("", ["a@to.example"]), lambda m: m.header("From") == ["<MAILER-DAEMON@users.example>"]),
    ("Bcc is dropped", ["-t"], "To: a@to.example\nBcc: b@to.example\nFrom: x@y.example\n\nb\n", ("root@users.example", ["a@to.example", "b@to.example"]),
     lambda m: b"Bcc" not in m.content and b"b@to.example" not in m.content.split(b"\r\n\r\n")[0].replace(b"for <", b"")),
    ("-t adds to arguments", ["-t", "c@to.example"], "To: a@to.example\nFrom: x@y.example\n\nb\n", ("root@users.example", ["a@to.example", "c@to.example"]), lambda m: True),
    ("a list in one argument", ["Ann <a@to.example>, b@to.example"], "x\n", ("root@users.example", ["a@to.example", "b@to.example"]), lambda m: True),
    ("a progress bar", ["root"], "Subject: s\n\n10%\r20%\r100%\n", ("root@users.example", ["root@users.example"]), lambda m: b"10%\r\n20%\r\n100%\r\n" in m.content),
    ("an endless line", ["root"], "Subject: s\n\n" + "x" * 200000 + "\n", ("root@users.example", ["root@users.example"]),
     lambda m: max(len(line) for line in m.content.split(b"\r\n")) <= 998 and m.content.count(b"x") >= 200000),
    ("an address that begins with a dash", ["-i", "--", "-rf@to.example"], "x\n", ("root@users.example", ["-rf@to.example"]), lambda m: True),
    ("what is taken and ignored", ["-Am", "-U", "-m", "-n", "-o7", "-o8", "-odb", "-oep", "-om", "-Ldaemon", "-h", "20", "-v", "-O", "Timeout=1", "-bm", "a@to.example"],
     "x\n", ("root@users.example", ["a@to.example"]), lambda m: True),
    ("SMTPUTF8", ["-O", "smtputf8=yes", "jörg@to.example"], "x\n", ("root@users.example", ["jörg@to.example"]), lambda m: "SMTPUTF8" in m.mail_line),
    ("large", ["a@to.example"], "Subject: s\n\n" + "0123456789 some line of it\n" * 100000, ("root@users.example", ["a@to.example"]), lambda m: len(m.content) > 2600000),
    ("one of two refused", ["a@to.example", "x@refused.example"], "x\n", ("root@users.example", ["a@to.example"]), lambda m: True),
]


def test_calls_of_other_programs(world):
    sink, mta, sendmail = stage(world)
    wrong = []
    for name, arguments, text, envelope, check in CASES:
        before = len(sink.messages)
        code, said = sendmail(*arguments, text=text)
        try:
            if code != (67 if name == "one of two refused" else 0):
                raise AssertionError(f"ended with {code}: {said}")
            (m,) = sink.wait(before + 1, 10)[before:]
            m.wire = m.content.replace(b"\r\n.", b"\r\n..")
            if (m.sender, sorted(m.recipients)) != (envelope[0], sorted(envelope[1])):
                raise AssertionError(f"envelope {m.sender} {m.recipients}")
            for field in ("From", "Date", "Message-ID"):
                if len(m.header(field)) != 1:
                    raise AssertionError(f"{field}: {m.header(field)}")
            if not check(m):
                raise AssertionError(f"not as it should be: {m.mail_line} {m.content[:700]}")
        except AssertionError as error:
            wrong.append(f"{name}: {error}")
    assert not wrong, f"{len(wrong)} of {len(CASES)}:\n" + "\n".join(wrong)
    log = mta.log()
    assert re.search(r"[0-9A-F]{16}: uid=0 from=<bounce@php.example>", log), log[-2000:]
    assert "connect from" not in log, "our own users come and go without a line"
    mta.wait_empty()


def test_who_sent_it(world):
    """The kernel's word on the user stands in the log and in Received, whatever -f says; peers names who may."""
    sink, mta, sendmail = stage(world, listen=LISTEN.replace("}", f"; peers {NOBODY} }}"))
    assert sendmail("a@to.example", text="x\n", uid=NOBODY)[0] == 0
    (m,) = sink.wait(1)
    assert m.sender == "nobody@users.example" and f"from uid {NOBODY})" in m.header("Received")[0], m.content
    assert f"uid={NOBODY} from=<nobody@users.example>" in mta.log()
    assert sendmail("a@to.example", text="x\n", uid=0)[0] == 0
    sink.wait(2)
    code, said = sendmail("a@to.example", text="x\n", uid=1234)
    assert code == 77 and "may not send mail" in said, (code, said)
    mta.wait_empty()
    assert mta.status()["audit"]["balanced"]


def test_what_is_refused(world):
    sink, mta, sendmail = stage(world, extra="limits { message-size 10K }")
    for arguments, text, want, words in [
        (["x@refused.example"], "x\n", 67, "550 5.1.1 <x@refused.example>"),
        ([], "x\n", 64, "no recipients"),
        (["-t"], "Subject: nobody\n\nx\n", 64, "no recipients"),
        (["a b@to.example"], "x\n", 65, "this is no address: a b@to.example"),
        (["-f", "two words", "a@to.example"], "x\n", 64, "this is no sender address"),
        (["a@to.example"], "x" * 20000, 65, "larger than mtad takes"),
        (["-Z", "a@to.example"], "x\n", 64, "unknown option"),
        (["-bd"], "", 64, "mtad(8)"),
        (["-N", "never,success", "a@to.example"], "x\n", 64, "-N takes"),
        (["-O", "requiretls=yes", "a@to.example"], "x\n", 69, "requiretls"),
    ]:
        code, said = sendmail(*arguments, text=text)
        assert code == want and words in said, (arguments, code, said)
    assert not sink.messages and mta.count()["messages"] == 0
    code, said = sendmail("-bv", "a@to.example", "x@refused.example")
    assert code == 67 and "a@to.example... deliverable" in said and "550 5.1.1" in said, said
    assert mta.count()["messages"] == 0


@limit(150)
def test_while_mtad_is_down(world):
    sink, mta, sendmail = stage(world)
    mta.stop()
    began = time.monotonic()
    results = []
    waiting = threading.Thread(target=lambda: results.append(sendmail("a@to.example", text="waited\n")))
    waiting.start()
    time.sleep(2)
    mta.start()
    waiting.join(30)
    assert results and results[0][0] == 0, results
    assert b"waited" in sink.wait(1)[0].content
    began = time.monotonic()
    code, said = sendmail("x@later.example", text="x\n")   # mtad is there, and says "not now"
    assert code == 75 and "451 4.3.0" in said and 25 < time.monotonic() - began < 40, (code, said, time.monotonic() - began)
    mta.stop()
    began = time.monotonic()
    code, said = sendmail("a@to.example", text="x\n")
    assert code == 75 and "mtad is not running" in said and 25 < time.monotonic() - began < 40, (code, said, time.monotonic() - began)
    code, said = sendmail(name="mailq")
    assert code == 69, (code, said)


def test_verp(world):
    sink, mta, sendmail = stage(world)
    code, said = sendmail("-XV", "-f", "list@users.example", "a@to.example", "b@to.example", text="x\n")
    assert code == 0, said
    sink.wait(2)
    assert sorted((m.sender, m.recipients[0]) for m in sink.messages) == [
        ("list+a=to.example@users.example", "a@to.example"), ("list+b=to.example@users.example", "b@to.example")], sink.messages


def test_many_recipients_are_split(world):
    sink, mta, sendmail = stage(world, extra="limits { recipients 50 }")
    code, said = sendmail("-t", text="From: x@y.example\nTo: " + ",\n ".join(f"u{n}@to.example" for n in range(120)) + "\n\nx\n")
    assert code == 0, said
    wait_for("all arrive", lambda: sum(len(m.recipients) for m in sink.messages) == 120)
    assert len({r for m in sink.messages for r in m.recipients}) == 120


def test_smtp_on_standard_input(world):
    sink, mta, sendmail = stage(world)
    code, said = sendmail("-bs", text="EHLO me\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@to.example>\r\nDATA\r\nSubject: s\r\n\r\nhi\r\n.\r\nQUIT\r\n")
    assert code == 0 and said.startswith("220 ") and "XMAILDOMAIN users.example" in said and said.rstrip().split("\r\n")[-1].startswith("221"), said
    (m,) = sink.wait(1)
    assert m.header("From") == ["<a@x.example>"] and m.header("Date") and m.header("Message-ID"), m.content


def test_mailq_and_newaliases(world):
    sink, mta, sendmail = stage(world, routes="route out { match any; relay smtp://127.0.0.9:25 }", queue="retry 1h; expire 1d")
    assert sendmail(name="mailq") == (0, "Mail queue is empty\n")
    assert sendmail("a@to.example", text="x\n")[0] == 0
    wait_for("it is deferred", lambda: "refused" in sendmail(name="mailq")[1])
    code, said = sendmail(name="mailq")
    assert code == 0 and said.startswith("----Queue ID-----") and "a@to.example" in said and said.rstrip().endswith("in 1 Request."), said
    assert sendmail("-bp")[1] == said
    sink2 = Sink(("127.0.0.9", 25))
    number = mta.list()[0]["queue_id"]
    assert sendmail("-qI", number)[0] == 0
    sink2.wait(1)
    assert sendmail("-q")[0] == 0 and sendmail("-q30m")[0] == 0 and sendmail("-qR", "to.example")[0] == 0
    assert sendmail(name="mailq", uid=1234)[0] == 77
    aliases = mta.folder / "aliases"
    aliases.write_text("postmaster: root\nroot: ann@to.example\n")
    assert sendmail(f"-oA{aliases}", name="newaliases") == (0, "")
    aliases.write_text("postmaster: root\nthis is none\n")
    code, said = sendmail(f"-oA{aliases}", name="newaliases")
    assert code == 65 and f"{aliases}:2:" in said, (code, said)


def test_git_send_email(world):
    sink, mta, sendmail = stage(world)
    home = world.folder / "git"
    home.mkdir()
    environment = dict(os.environ, HOME=str(home), GIT_CONFIG_NOSYSTEM="1")

    def git(*arguments):
        argv = ["git", "-c", "user.name=Dev", "-c", "user.email=dev@git.example", *arguments]
        return subprocess.run(argv, cwd=home, env=environment, capture_output=True, text=True, timeout=60)
    git("init", "-q")
    (home / "f").write_text("x\n.\n")
    git("add", "f")
    git("commit", "-q", "-m", "first")
    git("format-patch", "--root", "HEAD")
    done = git("send-email", f"--smtp-server={sendmail.folder}/sendmail", "--to=list@to.example", "--cc=Ann <ann@to.example>", "--confirm=never", "--quiet",
               "--envelope-sender=bounce@git.example", "0001-first.patch")
    assert done.returncode == 0, done.stdout + done.stderr
    (m,) = sink.wait(1)
    assert m.sender == "bounce@git.example" and sorted(m.recipients) == ["ann@to.example", "dev@git.example", "list@to.example"], (m.sender, m.recipients)
    assert b"[PATCH] first" in m.content and m.content.count(b"Message-Id:") + m.content.count(b"Message-ID:") == 1


def test_mail_of_posix(world):
    """mail(1), of the package s-nail."""
    sink, mta, sendmail = stage(world)
    argv = ["s-nail", "-n", "-S", f"mta={sendmail.folder}/sendmail", "-S", "from=me@users.example", "-s", "Grüße", "ann@to.example", "bob@to.example"]
    done = subprocess.run(argv, input="words\n.\nmore\n".encode(), capture_output=True, timeout=30, env=dict(os.environ, HOME=str(world.folder), LANG="C.UTF-8", LC_ALL="C.UTF-8"))
    assert done.returncode == 0, done
    (m,) = sink.wait(1)
    assert sorted(m.recipients) == ["ann@to.example", "bob@to.example"] and b"words\r\n" in m.content and b"more" in m.content, (m.recipients, m.content)


def test_socket_is_left_and_found(world):
    sink, mta, sendmail = stage(world)
    path = mta.folder / "submit.sock"
    mta.kill()
    assert path.exists(), "a killed mtad leaves its socket"
    mta.start()
    assert sendmail("a@to.example", text="x\n")[0] == 0
    sink.wait(1)
    mta.stop()
    assert not path.exists(), "a stopped one does not"
    assert not pathlib.Path(str(path)).exists()
