"""Delivery into Maildirs: order of its steps, names, owners, unknown mailboxes, and paths that a recipient cannot choose."""
import os
import signal
import stat
import subprocess
import time

from harness import mail, smtp
from harness.core import Skip, limit, wait_for
from harness.smtp import Client

ROUTE = "route box { match any; maildir @DIR@/mail/{domain}/{local} }"


def files(mta):
    return sorted(str(p.relative_to(mta.mail)) for p in mta.mail.rglob("*") if p.is_file())


def test_delivery(world):
    mta = world.mtad(routes=ROUTE, extra="mailbox { create on }")
    code, text = Client().send("a@from.example", ["Bob@To.Example", "carol@to.example"], "Subject: x\r\n\r\none\r\n.two\r\nGrüße\r\n", mail_options=" BODY=8BITMIME")
    assert code == 250, text
    number = text.split()[-1]
    mta.wait_empty()
    got = files(mta)
    assert len(got) == 2 and all("/new/" in name for name in got) and {name.split("/")[0] for name in got} == {"to.example"}, got
    content = (mta.mail / got[0]).read_bytes()
    assert content.startswith(b"Return-Path: <a@from.example>\n") and b"\nDelivered-To: " in content, content
    assert content.endswith("Subject: x\n\none\n.two\nGrüße\n".encode()) and b"\r" not in content, content
    assert b"Received: from client.example" in content and number.encode() in content
    for box in {(mta.mail / name).parent.parent for name in got}:
        assert sorted(p.name for p in box.iterdir()) == ["cur", "new", "tmp"] and not list((box / "tmp").iterdir())
        assert stat.S_IMODE(box.stat().st_mode) & 0o077 == 0
    mta.wait_log(f"{number}: removed")
    assert mta.log().count("status=sent") == 2


def test_names_are_unique(world):
    mta = world.mtad(routes=ROUTE, extra="mailbox { create on }")
    ledger = mail.Ledger(300, sessions=6)
    ledger.finish()
    mta.wait_empty()
    assert ledger.compare(mail.in_maildir(mta.mail)) == 0
    assert len(files(mta)) == 300


def test_unknown_mailbox(world):
    """`create off`: refused at RCPT; one that exists is taken."""
    world.folder.joinpath("mta").mkdir(exist_ok=True)
    box = world.folder / "mta/mail/to.example/bob"
    box.mkdir(parents=True)
    for path in [world.folder / "mta/mail", *world.folder.joinpath("mta/mail").rglob("*")]:
        path.chmod(0o777)
    mta = world.mtad(routes=ROUTE)
    client = Client()
    assert client.say("MAIL FROM:<a@from.example>")[0] == 250
    code, text = client.say("RCPT TO:<nobody@to.example>")
    assert code == 550 and "5.1.1" in text, text
    assert client.say("RCPT TO:<bob@to.example>")[0] == 250
    assert client.say("RCPT TO:<bob@other.example>")[0] == 550
    assert client.say("DATA")[0] == 354 and client.data("Subject: x\r\n\r\nhi\r\n")[0] == 250
    mta.wait_empty()
    assert len(files(mta)) == 1
    mta.wait_log("550 5.1.1 <nobody@to.example>: Recipient address rejected: User unknown")


@limit(60)
def test_recipients_choose_no_paths(world):
    """{local} and {domain} are one component each, whatever the address."""
    outside = world.folder / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    mta = world.mtad(routes=ROUTE, extra="mailbox { create on }\nlimits { errors 1000 }")
    client = Client()
    locals_ = ["..", ".", "a/b", "../../outside", "/etc", "a\\0", "-rf", "new", "tmp", "a" * 64, "%s", "$(id)", "`id`", "a;b", ".hidden", "a\tb", "*", "~", "a:2,S"]
    for local in locals_:
        client.say("RSET")
        client.say("MAIL FROM:<>")
        quoted = '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if client.say(f"RCPT TO:<{quoted}@to.example>")[0] == 250 and client.say("DATA")[0] == 354:
            client.data("Subject: x\r\n\r\nhi\r\n")
    client.say("RSET")
    wait_for("no attempt is under way", lambda: all(r.get("delay_reason") for row in mta.list() for r in row["recipients"]), 30, 0.2)
    assert not list(outside.iterdir())
    for name in files(mta):
        parts = name.split("/")
        assert len(parts) == 4 and parts[0] == "to.example" and parts[2] == "new" and parts[1] not in ("..", "."), name
    assert {p.name for p in mta.folder.iterdir()} <= {"mail", "queue", "log", "mta.conf", "control.sock"}, list(mta.folder.iterdir())


def test_link_in_the_way(world):
    """A symbolic link in a mailbox's place is not followed; its mail waits or is returned, and nothing is written behind it."""
    outside = world.folder / "outside"
    outside.mkdir()
    outside.chmod(0o777)
    mta = world.mtad(routes=ROUTE, extra="mailbox { create on }")
    assert Client().send("a@from.example", "bob@to.example", mail.message("first"))[0] == 250
    mta.wait_empty()
    (mta.mail / "to.example" / "eve").symlink_to(outside)
    assert Client().send("", "eve@to.example", mail.message("second"))[0] == 250
    wait_for("judged", lambda: "to=<eve@to.example>" in mta.log())
    assert not list(outside.rglob("*"))


@limit(60)
def test_full_mailbox_disk(world):
    """No room where the mailboxes are: deferred, and delivered when there is some."""
    place = world.folder / "mta/mail"
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k,mode=1777", "none", str(place)], check=True)
    mta = world.mtad(routes=ROUTE, extra="mailbox { create on }", queue="retry 1s; expire 1d")
    filler = place / "filler"
    filler.write_bytes(b"x" * 250000)
    assert Client().send("a@from.example", "bob@to.example", mail.message("big", 100000))[0] == 250
    wait_for("deferred", lambda: "status=deferred" in mta.log(), 20)
    assert not [n for n in files(mta) if "/new/" in n]
    filler.unlink()
    mta.wait_empty()
    assert [mail.id_of(c) for c in mail.in_maildir(mta.mail)] == ["big"]
    subprocess.run(["umount", "-l", str(place)])


def test_mailbox_user(world):
    """`mailbox { user NAME }`: what is delivered belongs to that user."""
    if os.geteuid() != 0:
        raise Skip("needs root to run as another user")
    place = world.folder / "mta/mail"
    place.mkdir(parents=True)
    os.chown(place, 8, 8)
    mta = world.mtad(routes=ROUTE, extra="mailbox { user mail; create on }")
    assert Client().send("a@from.example", "bob@to.example", mail.message(1))[0] == 250
    mta.wait_empty()
    name = files(mta)[0]
    assert (mta.mail / name).stat().st_uid == 8


def test_several_routes(world):
    """The first route that matches decides: a Maildir, a relay, a refusal, nothing at all."""
    sink = smtp.Sink()
    mta = world.mtad(routes="table mine { inline one.example two.example }\nroute box { match rcpt-domain mine; maildir @DIR@/mail/{domain}/{local} }\n"
                            "route drop { match rcpt-domain drop.example; discard }\nroute no { match rcpt-domain no.example; reject 450 4.7.1 not now }\n"
                            "route out { match any; relay smtp://127.0.0.2:25 }", extra="mailbox { create on }")
    client = Client()
    code, text = client.send("a@from.example", ["u@one.example", "u@drop.example", "u@two.example", "u@else.example", "v@else.example"], mail.message("all"))
    assert code == 250, text
    assert client.say("RSET")[0] == 250 and client.send("a@from.example", "u@no.example", mail.message("no"))[0] == 450
    mta.wait_empty()
    assert sorted(name.split("/new/")[0] for name in files(mta)) == ["one.example/u", "two.example/u"]
    assert [m.recipients for m in sink.messages] == [["u@else.example", "v@else.example"]]
    audit = mta.status()["audit"]
    assert audit["accepted"] == 5 and audit["balanced"] is True and audit["queued"] == 0, audit


def cpu_seconds(pid):
    """CPU time that a process has had so far."""
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_manager_rests_while_nobody_can_deliver(world):
    """The mailbox process hangs with all that it can have in hand, or is away: the manager does not ask for it in every turn, and goes on when it can."""
    routes = "\n".join(f"route box{n} {{ match rcpt-domain d{n}.example; maildir @DIR@/mail/{{domain}}/{{local}} }}" for n in range(6))
    mta = world.mtad(routes=routes, extra="mailbox { create on }")
    mailbox, manager = mta.pid_of("mailbox"), mta.pid_of("manager")
    client = Client()
    for number in range(300):  # the first half lets each destination have as many at once as it ever may
        if number == 150:
            mta.wait_empty()
            os.kill(mailbox, signal.SIGSTOP)
        assert client.send("a@from.example", f"b@d{number % 6}.example", mail.message(number))[0] == 250
    before = cpu_seconds(manager)
    time.sleep(2)
    spent = cpu_seconds(manager) - before
    os.kill(mailbox, signal.SIGCONT)
    mta.wait_empty()
    assert spent < 0.5, f"the manager used {spent} s of CPU in 2 s in which it could do nothing"
    assert sorted(int(mail.id_of(open(mta.mail / name, "rb").read())) for name in files(mta)) == list(range(300))
