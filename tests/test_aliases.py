"""Aliases, virtual domains, catch-alls, sub-addresses, owners: who gets a message, who is refused at RCPT, and who hears of a failure."""
import os
import signal

from harness import mail
from harness.core import wait_for
from harness.smtp import Client, Sink

NAMES = """\
postmaster: root
root:       ann
team:       ann, bob, far@other.example
list:       :include:@DIR@/members
owner-list: bob
self:       self, copy@other.example
circle:     circle2
circle2:    circle
prog:       "|/bin/cat"
"""

EXTRA = """
table names   { file @DIR@/names; format aliases }
table virtual { file @DIR@/virtual; format postfix }
"""
ROUTES = """
route home    { match rcpt-domain home.example; rewrite names; sub-address +; maildir @DIR@/mail/{local} }
route virtual { match rcpt-domain virtual.example; rewrite virtual; reject 550 5.1.1 "User unknown" }
route own     { match rcpt-domain from.example; relay smtp://127.0.0.3:25 }
route out     { match trusted; relay smtp://127.0.0.2:25 }
"""
VIRTUAL = "info@virtual.example ann@home.example\nboth@virtual.example ann@home.example, far@other.example\n"
LISTEN = "listen main { address 127.0.0.1:25; trust 127.0.0.9 }"  # nobody that comes from 127.0.0.1 is trusted


def start(world, extra_srs=False, **parts):
    folder = world.folder / "mta"
    folder.mkdir(exist_ok=True)
    (folder / "names").write_text(NAMES.replace("@DIR@", str(folder)))
    (folder / "virtual").write_text(VIRTUAL)
    (folder / "members").write_text("ann\nfar@other.example, x@other.example\n")
    for box in ("ann", "bob", "self"):
        for part in ("new", "cur", "tmp"):
            (folder / "mail" / box / part).mkdir(parents=True)
    for path in (folder / "mail").rglob("*"):
        os.chmod(path, 0o777)
    os.chmod(folder / "mail", 0o777)
    return world.mtad(**dict({"listen": LISTEN, "routes": ROUTES, "extra": SRS if extra_srs else EXTRA}, **parts))


def box(mta, name):
    return [p.read_text() for p in sorted((mta.folder / "mail" / name / "new").glob("*"))]


def rcpt(address, sender="s@from.example"):
    client = Client()
    assert client.say(f"MAIL FROM:<{sender}>")[0] == 250
    answer = client.say(f"RCPT TO:<{address}>")
    client.close()
    return answer


def test_recipients_are_judged_at_rcpt(world):
    mta = start(world)
    for good in ("ann@home.example", "ANN+news@home.example", "team@home.example", "Postmaster@home.example", "root+x@home.example", "info@virtual.example"):
        assert rcpt(good)[0] == 250, (good, rcpt(good))
    code, text = rcpt("nobody@home.example")
    assert code == 550 and "5.1.1" in text, text
    code, text = rcpt("nobody@virtual.example")
    assert code == 550 and "5.1.1" in text and "User unknown" in text, text
    code, text = rcpt("circle@home.example")
    assert code == 451 and "4.3.5" in text and "leads to nobody" in text, text
    code, text = rcpt("prog@home.example")
    assert code == 451 and "4.3.5" in text and "command" in text, text
    assert rcpt("far@other.example")[0] == 554    # an alias leads there, and yet nobody may relay
    mta.stop()


def test_a_message_goes_to_whom_its_recipients_stand_for(world):
    sink = world.add(Sink())
    mta = start(world)
    code, text = Client().send("s@from.example", ["team@home.example", "ann@home.example", "both@virtual.example"], mail.message(1))
    assert code == 250, text
    mta.wait_empty()
    assert len(box(mta, "ann")) == 1 and len(box(mta, "bob")) == 1
    assert [m.recipients for m in sink.messages] == [["far@other.example"]] and sink.messages[0].sender == "s@from.example"
    assert "Return-Path: <s@from.example>" in box(mta, "ann")[0]
    assert "to=<bob@home.example>, orig_to=<team@home.example>, relay=virtual" in mta.log()
    assert "nrcpt=3 (queue active)" in mta.log()
    mta.stop()


def test_sub_address_reaches_its_user(world):
    mta = start(world)
    assert Client().send("s@from.example", "bob+lists@home.example", mail.message(1))[0] == 250
    mta.wait_empty()
    assert "Delivered-To: bob+lists@home.example" in box(mta, "bob")[0]
    mta.stop()


def test_a_list_with_an_owner_sends_its_failures_to_him(world):
    sink = world.add(Sink(answers={"RCPT": lambda session, line: b"550 5.1.1 no such user\r\n" if "x@other" in str(line) else None}))
    mta = start(world)
    assert Client().send("s@from.example", "list@home.example", mail.message(1))[0] == 250
    mta.wait_empty()
    assert {m.sender for m in sink.messages} == {"owner-list@home.example"}
    assert sorted(r for m in sink.messages for r in m.recipients) == ["far@other.example"]
    assert "Return-Path: <owner-list@home.example>" in box(mta, "ann")[0]
    [bounce] = box(mta, "bob")       # owner-list is bob
    assert "x@other.example" in bounce and "Return-Path: <>" in bounce
    mta.stop()


def test_failures_of_an_alias_go_to_the_sender(world):
    back = world.add(Sink(("127.0.0.3", 25)))
    world.add(Sink(answers={"RCPT": b"550 5.1.1 no such user\r\n"}))
    mta = start(world)
    assert Client().send("s@from.example", "team@home.example", mail.message(1))[0] == 250
    mta.wait_empty()
    back.wait(1)
    text = back.messages[0].content.decode()
    assert back.messages[0].recipients == ["s@from.example"] and "far@other.example" in text and "Original-Recipient: rfc822; team@home.example" in text, text
    mta.stop()


def test_what_was_accepted_does_not_change_with_the_tables(world):
    mta = start(world)   # nobody listens at 127.0.0.2
    assert Client().send("s@from.example", "team@home.example", mail.message(1))[0] == 250
    wait_for("two are delivered", lambda: len(box(mta, "ann")) == 1 and len(box(mta, "bob")) == 1)
    (mta.folder / "names").write_text("team: bob\n")
    assert mta.ctl("table", "reload")[-1]["done"]
    mta.kill()
    sink = world.add(Sink())
    mta.start()
    mta.wait_empty()
    assert sink.messages[0].recipients == ["far@other.example"] and len(box(mta, "bob")) == 1
    assert Client().send("s@from.example", "team@home.example", mail.message(2))[0] == 250
    mta.wait_empty()
    assert len(box(mta, "bob")) == 2 and len(sink.messages) == 1
    mta.stop()


def test_large_list_and_large_message(world):
    sink = world.add(Sink())
    mta = start(world)
    (mta.folder / "members").write_text("".join(f"u{n}@other.example\n" for n in range(2500)))
    assert mta.ctl("table", "reload")[-1]["done"]
    assert Client().send("s@from.example", "list@home.example", mail.message(1, size=200000))[0] == 250
    os.kill(mta.pid_of("manager"), signal.SIGKILL)
    mta.wait_empty(60)
    got = [r for m in sink.messages for r in m.recipients]
    assert len(set(got)) == 2500 and {m.sender for m in sink.messages} == {"owner-list@home.example"}
    mta.stop()


SRS = EXTRA + "srs { domain srs.home.example; secret @DIR@/srs.secret }\n"


def start_srs(world, **parts):
    folder = world.folder / "mta"
    folder.mkdir(exist_ok=True)
    secret = folder / "srs.secret"
    secret.write_text("# the first signs\ntop secret\nolder\n")
    secret.chmod(0o600)
    return start(world, **dict({"extra_srs": True}, **parts))


def test_forwarded_mail_has_a_sender_here_and_its_bounce_finds_back(world):
    back = world.add(Sink(("127.0.0.3", 25)))
    sink = world.add(Sink())
    mta = start_srs(world)
    assert Client().send("s@from.example", "team@home.example", mail.message(1))[0] == 250
    mta.wait_empty()
    [forwarded] = sink.messages
    rewritten = forwarded.sender
    assert rewritten.startswith("SRS0=") and rewritten.endswith("=from.example=s@srs.home.example"), rewritten
    assert "Return-Path: <s@from.example>" in box(mta, "ann")[0]     # what stays here keeps its sender
    # A bounce from far away, by a stranger, in another case of letters as some do.
    code, text = Client().send("", rewritten.lower(), "From: <>\r\nSubject: bounce\r\n\r\nsorry\r\n")
    assert code == 250, text
    mta.wait_empty()
    assert back.messages[0].recipients == ["s@from.example"] and back.messages[0].sender == ""
    assert f"to=<s@from.example>, orig_to=<{rewritten.lower()}>" in mta.log()
    mta.stop()


def test_made_up_srs_addresses_are_refused_before_anything_is_promised(world):
    back = world.add(Sink(("127.0.0.3", 25)))
    mta = start_srs(world)
    for forged in ("SRS0=aaaa=AA=from.example=s@srs.home.example", "SRS0=x@srs.home.example", "srs1=aaaa=h.example==x=y=z=w@srs.home.example"):
        client = Client()
        code, text = client.send("", forged, "Subject: x\r\n\r\nx\r\n")
        assert code == 550 and "5.7.1" in text, (forged, text)
    assert rcpt("s@srs.home.example")[0] in (550, 554)
    mta.wait_empty()
    assert not back.messages
    mta.stop()


def test_trusted_mail_and_lists_with_owners_keep_their_senders(world):
    sink = world.add(Sink())
    mta = start_srs(world, listen="listen main { address 127.0.0.1:25; trust local }")
    assert Client().send("s@from.example", "team@home.example", mail.message(1))[0] == 250
    assert Client().send("s@from.example", "list@home.example", mail.message(2))[0] == 250
    mta.wait_empty()
    assert {m.sender for m in sink.messages} == {"s@from.example", "owner-list@home.example"}
    mta.stop()


def test_secrets_that_others_can_read_are_not_used(world):
    folder = world.folder / "mta"
    folder.mkdir(exist_ok=True)
    (folder / "srs.secret").write_text("x\n")
    (folder / "srs.secret").chmod(0o644)
    mta = start(world, extra_srs=True, start=False)
    mta.start(wait=False)
    assert mta.process.wait(20) == 78
    assert "the secrets of srs can be read by others" in mta.log(), mta.log()


def test_masquerade_changes_senders_of_trusted_clients(world):
    sink = world.add(Sink())
    mta = world.mtad(extra="masquerade { envelope-from root@web.test.example -> ops@test.example; envelope-from *@*.test.example -> *@test.example }")
    for sender in ("root@web.test.example", "ann@Host.Test.Example", "bob@other.example", ""):
        assert Client().send(sender, "x@far.example", mail.message(1))[0] == 250
    mta.wait_empty()
    assert sorted(m.sender for m in sink.messages) == ["", "ann@test.example", "bob@other.example", "ops@test.example"]
    assert "from=<ops@test.example>, size=" in mta.log()
    mta.stop()


def test_a_bounce_to_an_alias_reaches_its_members(world):
    world.add(Sink(answers={"RCPT": b"550 5.1.1 no such user\r\n"}))
    mta = start(world, listen="listen main { address 127.0.0.1:25; trust local }")
    code, text = Client().send("root@home.example", "x@far.example", mail.message(1))
    assert code == 250, text
    mta.wait_empty()
    [bounce] = box(mta, "ann")
    assert "Return-Path: <>" in bounce and "x@far.example" in bounce
    mta.stop()
