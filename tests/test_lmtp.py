"""LMTP: the real Dovecot by Unix socket and TCP, read back by IMAP, and scripted servers for what it does not do."""
import os
import time

from harness import lmtp, mail, smtp
from harness.core import limit, wait_for
from harness.dovecot import Dovecot

DOMAIN = "box.example"


def address(*names):
    return [f"{name}@{DOMAIN}" for name in names]


def routes(target, more=""):
    return f"route box {{ match rcpt-domain {DOMAIN}; lmtp {target}; {more} }}\nroute out {{ match any; relay smtp://127.0.0.2:25 }}"


@limit(120)
def test_dovecot_by_unix_socket(world):
    """One message for two users and one who does not exist: read by IMAP, and a bounce for the third."""
    sink = smtp.Sink()
    dovecot = Dovecot(world, {a: None for a in address("ann", "bob")}, mode="0600")
    mta = world.mtad(routes=routes(f"unix:{dovecot.socket}"))
    code, text = smtp.Client().send("from@out.example", address("ann", "nobody", "bob"), mail.message("one", 3000, extra="Subject: Gr\r\n"))
    assert code == 250, text
    for user in address("ann", "bob"):
        content = dovecot.wait_read(user)[0]
        assert mail.id_of(content) == "one" and b"\r\n" + b"." + b"x" * 70 + b"\r\n" in content, content[:2000]
        assert b"Return-Path: <from@out.example>" in content, content[:600]
    wait_for("a bounce", lambda: sink.messages)
    report = sink.messages[0].content.decode()
    assert "Final-Recipient: rfc822; nobody@box.example" in report and "Status: 5.1.1" in report and "ann@box.example" not in report.split("Reporting-MTA")[1], report
    mta.wait_empty()
    log = mta.log()
    assert f"to=<ann@{DOMAIN}>, relay={dovecot.socket}, delay=" in log and "status=sent (250 2.0.0 " in log, log
    assert "/lmtp[" in log, log
    assert mta.status()["audit"]["balanced"] is True
    assert [s["site"] for s in mta.ctl("site", "list") if s["action"] == "lmtp"] == ["lmtp:box"]


@limit(120)
def test_dovecot_by_tcp_many_at_once(world):
    """Many messages over kept connections: each arrives once."""
    dovecot = Dovecot(world, {a: None for a in address("rcpt")})
    mta = world.mtad(routes=routes("inet:127.0.0.3:24"))
    ledger = mail.Ledger(200, recipient=f"rcpt@{DOMAIN}")
    ledger.finish()
    mta.wait_empty(60)
    assert ledger.compare(dovecot.read(f"rcpt@{DOMAIN}")) == 0
    assert "conn_use=" in mta.log()


@limit(120)
def test_dovecot_full_mailbox(world):
    """One recipient over quota: the others have it. By default as its code says; `mailbox-full` turns it."""
    sink = smtp.Sink()
    dovecot = Dovecot(world, {f"ann@{DOMAIN}": None, f"full@{DOMAIN}": "1K"})
    mta = world.mtad(routes=routes(f"unix:{dovecot.socket}", "mailbox-full defer"))
    assert smtp.Client().send("from@out.example", address("full", "ann"), mail.message("big", 5000))[0] == 250
    dovecot.wait_read(f"ann@{DOMAIN}")
    wait_for("deferred", lambda: "status=deferred" in mta.log())
    row = mta.list()[0]
    assert [r["address"] for r in row["recipients"]] == [f"full@{DOMAIN}"] and "4.2.2" == row["recipients"][0]["dsn"], row
    mta.stop()
    mta.write_config(routes=routes(f"unix:{dovecot.socket}", "mailbox-full bounce"))
    mta.start()
    wait_for("a bounce", lambda: sink.messages)
    assert b"Status: 5.2.2" in sink.messages[0].content, sink.messages[0].content
    mta.wait_empty()
    assert len(dovecot.read(f"ann@{DOMAIN}")) == 1


@limit(120)
def test_dovecot_stops_and_comes_back(world):
    """Mail waits while nobody listens, and says why; the socket is found again when it is made anew."""
    dovecot = Dovecot(world, {a: None for a in address("ann")})
    mta = world.mtad(routes=routes(f"unix:{dovecot.socket}"))
    assert smtp.Client().send("from@out.example", address("ann"), mail.message("first"))[0] == 250
    dovecot.wait_read(f"ann@{DOMAIN}")
    dovecot.stop()
    if dovecot.socket.exists():
        dovecot.socket.unlink()
    assert smtp.Client().send("from@out.example", address("ann"), mail.message("second"))[0] == 250
    wait_for("deferred", lambda: "No such file or directory" in str(mta.list()))
    assert f"connect to {dovecot.socket}: No such file or directory" in mta.list()[0]["recipients"][0]["delay_reason"], mta.list()
    dovecot.start()
    assert sorted(mail.id_of(c) for c in dovecot.wait_read(f"ann@{DOMAIN}", 2)) == ["first", "second"]
    mta.wait_empty()


def verdicts(mta):
    """What became of each recipient so far, by the log."""
    rows = {}
    for line in mta.log().splitlines():
        if " to=<" in line and " status=" in line:
            rows.setdefault(line.split(" to=<")[1].split(">")[0].split("@")[0], []).append(line.split(" status=")[1].split(" ")[0] + (" dup" if "maybe_duplicate" in line else ""))
    return rows


HOSTILE = {
    "dies after the first answer": ([b"250 2.0.0 saved\r\n", None], {"a": ["sent"], "b": ["deferred dup", "sent"], "c": ["deferred dup", "sent"]}),
    "dies before any answer": ([None], {"a": ["deferred dup", "sent"], "b": ["deferred dup", "sent"], "c": ["deferred dup", "sent"]}),
    "junk for the second": ([b"250 ok\r\n", b"ok, saved\r\n"], {"a": ["sent"], "b": ["deferred dup", "sent"], "c": ["deferred dup", "sent"]}),
    "codes that differ in one answer": ([b"250-ok\r\n550 no\r\n"], {"a": ["deferred dup", "sent"], "b": ["deferred dup", "sent"], "c": ["deferred dup", "sent"]}),
    "421 for the second": ([b"250 ok\r\n", b"421 4.3.2 bye\r\n"], {"a": ["sent"], "b": ["deferred dup", "sent"], "c": ["deferred dup", "sent"]}),
    "each another": ([b"550 5.2.1 disabled\r\n", b"451 4.2.0 busy\r\n", b"250 ok\r\n"], {"a": ["bounced"], "b": ["deferred", "sent"], "c": ["sent"]}),
    "more answers than recipients": ([b"250 ok\r\n"] * 9, {"a": ["sent"], "b": ["sent"], "c": ["sent"]}),
    "silence for the third": ([b"250 ok\r\n", b"250 ok\r\n", 30], {"a": ["sent"], "b": ["sent"], "c": ["deferred dup", "sent"]}),
    "an answer that never ends": ([b"250 ok\r\n", b"250-" + b"x" * 5000 + b"\r\n"], {"a": ["sent"], "b": ["deferred dup", "sent"], "c": ["deferred dup", "sent"]}),
}


@limit(120)
def test_hostile_servers(world):
    """What a server does wrong at the end of a message concerns those recipients alone that it has not answered for."""
    smtp.Sink()
    numbers = {}
    for number, name in enumerate(HOSTILE):
        numbers[name] = f"127.0.1.{number + 1}"
    servers = {name: lmtp.Lmtp(world, (host, 24), ends={0: HOSTILE[name][0]}) for name, host in numbers.items()}
    blocks = "\n".join(f"route r{i} {{ match rcpt-domain d{i}.example; lmtp inet:{host} }}" for i, host in enumerate(numbers.values()))
    mta = world.mtad(routes=blocks + "\nroute out { match any; relay smtp://127.0.0.2:25 }", extra="timeouts { data-end 3s }", queue="retry 1s; expire 1d")
    for number, name in enumerate(HOSTILE):
        code, text = smtp.Client().send("from@out.example", [f"{r}@d{number}.example" for r in "abc"], mail.message(number))
        assert code == 250, text
    mta.wait_empty(60)
    log = mta.log()
    for number, name in enumerate(HOSTILE):
        seen = {}
        for line in log.splitlines():
            if f"@d{number}.example>" in line and " status=" in line:
                seen.setdefault(line.split(" to=<")[1][0], []).append(line.split(" status=")[1].split(" ")[0] + (" dup" if "maybe_duplicate" in line else ""))
        assert seen == HOSTILE[name][1], (name, seen)
        took = [rcpt for _, rcpt, _ in servers[name].taken]
        for rcpt in "abc":
            if seen[rcpt][-1] == "sent":
                assert took.count(f"{rcpt}@d{number}.example") == 1, (name, took)
    audit = mta.status()["audit"]  # one was refused, and one more is its bounce
    assert audit["balanced"] is True and audit["delivered"] == 3 * len(HOSTILE) and audit["bounced"] == 1, audit


@limit(90)
def test_servers_that_are_no_lmtp(world):
    """LHLO refused, and DATA taken though nobody was: deferred with the server's words, bounced for the recipient's; never EHLO."""
    smtp.Sink()
    refuses = lmtp.Lmtp(world, ("127.0.1.1", 24), lhlo=b"502 5.5.1 what is LHLO\r\n")
    confused = lmtp.Lmtp(world, ("127.0.1.2", 24), rcpt=lambda address: b"550 5.1.1 who\r\n")
    mta = world.mtad(routes="route r1 { match rcpt-domain d1.example; lmtp inet:127.0.1.1:24 }\nroute r2 { match rcpt-domain d2.example; lmtp inet:127.0.1.2 }\n"
                            "route out { match any; relay smtp://127.0.0.2:25 }")
    assert smtp.Client().send("from@out.example", ["a@d1.example", "a@d2.example"], mail.message(1))[0] == 250
    wait_for("deferred", lambda: "502" in str(mta.list()))
    row = wait_for("one is left", lambda: (lambda r: len(r) == 1 and r[0])(mta.list()[0]["recipients"]))
    assert row["address"] == "a@d1.example" and "what is LHLO" in row["delay_reason"], row
    assert not [line for line in refuses.lines + confused.lines if line.startswith(("EHLO", "HELO"))]
    assert verdicts(mta)["a"].count("bounced") == 1


@limit(90)
def test_many_recipients(world):
    """More recipients than the answers that can be awaited: several transactions, each recipient once."""
    server = lmtp.Lmtp(world)
    mta = world.mtad(routes="route r { match any; lmtp inet:127.0.0.4; recipients 1000 }")
    rcpts = [f"r{n}@d.example" for n in range(700)]
    code, text = smtp.Client().send("from@out.example", rcpts, mail.message(1))
    assert code == 250, text
    mta.wait_empty()
    assert sorted(rcpt for _, rcpt, _ in server.taken) == sorted(rcpts)
    assert server.count <= 6, server.count


@limit(90)
def test_unix_socket_of_nobody(world):
    """A path that is no socket, or has no listener: deferred with the system's words; the master goes on."""
    smtp.Sink()
    plain = world.folder / "plain"
    plain.write_text("x")
    mta = world.mtad(routes=f"route r1 {{ match rcpt-domain d1.example; lmtp unix:{plain} }}\nroute r2 {{ match rcpt-domain d2.example; lmtp unix:{world.folder}/none }}\n"
                            "route out { match any; relay smtp://127.0.0.2:25 }")
    assert smtp.Client().send("from@out.example", ["a@d1.example", "a@d2.example"], mail.message(1))[0] == 250
    wait_for("both deferred", lambda: "No such file" in str(mta.list()) and "Connection refused" in str(mta.list()))
    server = lmtp.Lmtp(world, world.folder / "none")
    wait_for("delivered", lambda: server.taken)
    assert all(r["restarts"] == 0 for r in mta.roles())


@limit(120)
def test_manager_dies_between_answers(world):
    """SIGKILL to the manager while answers come one by one: who was answered is not given out again, the others are, and it is said."""
    server = lmtp.Lmtp(world, ends={0: [b"250 2.0.0 saved\r\n", 4, b"250 2.0.0 saved\r\n", b"250 2.0.0 saved\r\n"]})
    mta = world.mtad(routes="route r { match any; lmtp inet:127.0.0.4 }")
    assert smtp.Client().send("from@out.example", ["a@d.example", "b@d.example", "c@d.example"], mail.message(1))[0] == 250
    wait_for("the first answer", lambda: server.taken)
    os.kill(mta.pid_of("manager"), 9)
    mta.wait_log("to=<c@d.example>", 60)  # before it nobody answers mtactl
    mta.wait_empty(60)
    took = [rcpt for _, rcpt, _ in server.taken]
    assert took.count("a@d.example") == 1, took
    assert set(took) == {"a@d.example", "b@d.example", "c@d.example"}, took
    assert mta.status()["audit"]["balanced"] is True


@limit(120)
def test_worker_dies_between_answers(world):
    """SIGKILL to the delivery worker: the one that was answered is delivered, the others are tried again."""
    server = lmtp.Lmtp(world, ends={0: [b"250 2.0.0 saved\r\n", 20]})
    mta = world.mtad(routes="route r { match any; lmtp inet:127.0.0.4 }")
    assert smtp.Client().send("from@out.example", ["a@d.example", "b@d.example", "c@d.example"], mail.message(1))[0] == 250
    wait_for("the first answer", lambda: server.taken)
    time.sleep(0.5)  # until it was read
    for role in mta.roles():
        if role["role"] == "deliver":
            os.kill(role["pid"], 9)
    mta.wait_empty(60)
    took = [rcpt for _, rcpt, _ in server.taken]
    assert sorted(took) == ["a@d.example", "b@d.example", "c@d.example"], took
    assert verdicts(mta) == {"a": ["sent"], "b": ["deferred dup", "sent"], "c": ["deferred dup", "sent"]}, verdicts(mta)


@limit(120)
def test_recipients_are_checked_by_dovecot(world):
    """`recipient-check lmtp`: unknown users are refused at RCPT and nothing has to be returned; answers are kept; a server that is away gives 451."""
    dovecot = Dovecot(world, {a: None for a in address("ann")})
    mta = world.mtad(routes=routes(f"unix:{dovecot.socket}", "recipient-check lmtp"))
    client = smtp.Client()
    assert client.say("MAIL FROM:<a@out.example>")[0] == 250
    code, text = client.say(f"RCPT TO:<nobody@{DOMAIN}>")
    assert code == 550 and "5.1.1" in text and "User unknown" in text, text
    assert client.say(f"RCPT TO:<ann@{DOMAIN}>")[0] == 250
    began = time.monotonic()
    for _ in range(100):
        assert client.say(f"RCPT TO:<Ann@{DOMAIN}>")[0] == 250
    assert time.monotonic() - began < 5
    assert client.say("DATA")[0] == 354 and client.data(mail.message("one"))[0] == 250
    dovecot.wait_read(f"ann@{DOMAIN}")
    mta.wait_empty()
    dovecot.stop()
    client.say("MAIL FROM:<a@out.example>")
    assert client.say(f"RCPT TO:<ann@{DOMAIN}>")[0] == 250   # known still
    code, text = client.say(f"RCPT TO:<other@{DOMAIN}>")
    assert code == 451, text
    client.say("RSET")
    dovecot.start()
    time.sleep(1.2)
    client.say("MAIL FROM:<a@out.example>")
    assert client.say(f"RCPT TO:<other@{DOMAIN}>")[0] == 550
    assert mta.log().count("status=bounced") == 0


@limit(120)
def test_recipients_are_checked_by_hostile_servers(world):
    """Silence, junk, a hang-up or a refusal of everything is 451 and no more; many clients at once; the probe sends no content."""
    def rcpt(name):
        user = name.split("@")[0]
        if user == "gone":
            raise OSError
        if user == "slow":
            time.sleep(12)
        return {"later": b"451 4.3.0 later\r\n", "full": b"552 5.2.2 full\r\n", "junk": b"what\r\n", "none": b"550 5.1.1 no\r\n"}.get(user)
    server = lmtp.Lmtp(world, rcpt=rcpt)
    mta = world.mtad(routes="route r { match any; lmtp inet:127.0.0.4; recipient-check lmtp }", extra="limits { errors 1000 }")
    client = smtp.Client()
    for user, want in (("ok", 250), ("none", 550), ("later", 451), ("junk", 451), ("full", 250), ("gone", 451), ("slow", 451), ("ok", 250), ("none", 550)):
        client.say("RSET")
        client.say("MAIL FROM:<a@out.example>")
        code, text = client.say(f"RCPT TO:<{user}@d.example>")
        assert code == want, (user, text)
        time.sleep(1.1 if want == 451 else 0)
    assert not [line for line in server.lines if line.upper() == "DATA"]
    clients = [smtp.Client(source=f"127.0.0.{n + 10}") for n in range(30)]
    for n, c in enumerate(clients):
        c.say("MAIL FROM:<a@out.example>")
        c.raw(b"".join(f"RCPT TO:<{'none' if k % 2 else 'u'}{n}.{k}@d.example>\r\n".encode() for k in range(20)))
    for c in clients:
        assert [c.reply()[0] for _ in range(20)].count(250) == 20
    assert all(r["restarts"] == 0 for r in mta.roles())


@limit(60)
def test_recipients_are_checked_by_table(world):
    """`recipient-check TABLE`: by address, local part, or domain; a change of the file counts without a restart."""
    server = lmtp.Lmtp(world)
    table = world.folder / "users"
    table.write_text("ann@one.example\nbob\n@all.example\n")
    mta = world.mtad(routes=f"table users {{ file {table} }}\nroute r {{ match any; lmtp inet:127.0.0.4; recipient-check users }}")
    client = smtp.Client()
    client.say("MAIL FROM:<a@out.example>")
    wanted = {"ann@one.example": 250, "Ann@One.example": 250, "ann@two.example": 550, "bob@two.example": 250, "x@all.example": 250, "x@one.example": 550}
    assert {a: client.say(f"RCPT TO:<{a}>")[0] for a in wanted} == wanted
    new = world.folder / "users.new"
    new.write_text("x@one.example\n")
    new.rename(table)
    mta.ctl("table", "reload", json_output=False)
    wait_for("the new table counts", lambda: client.say("RCPT TO:<x@one.example>")[0] == 250)
    assert client.say("RCPT TO:<ann@one.example>")[0] == 550
    assert not server.lines
