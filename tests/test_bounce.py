"""Notifications: their parts read by Python's email package, and who gets one."""
import email
import email.policy
import time

from harness import mail, smtp
from harness.core import limit, wait_for
from harness.smtp import Client, Sink

ROUTES = ("route home { match rcpt-domain from.example; relay smtp://127.0.0.7:25 }\n"
          "route out { match any; relay smtp://127.0.0.2:25 }")
REFUSE = {"RCPT": lambda s, line: b"550 5.1.1 <user>: no\r\n" if "no@" in line else b"450 4.2.0 later\r\n" if "late@" in line else None}


def report(message):
    """(fields of the message, fields of each recipient) of a report; what is machine-readable must be so by the rules."""
    whole = email.message_from_bytes(message.content, policy=email.policy.SMTP)
    assert whole.get_content_type() == "multipart/report" and whole.get_param("report-type") == "delivery-status", whole["Content-Type"]
    parts = list(whole.iter_parts())
    assert parts[0].get_content_type() == "text/plain" and not whole.defects, whole.defects
    status = email.message_from_bytes(message.content).get_payload()[1].get_payload()
    blocks = [dict(block.items()) for block in status if block.items()]
    return whole, parts, blocks[0], blocks[1:]


def sinks():
    return Sink(("127.0.0.7", 25)), Sink(("127.0.0.2", 25), answers=dict(REFUSE))


def test_content_of_a_bounce(world):
    home, out = sinks()
    mta = world.mtad(routes=ROUTES)
    code, text = Client().send("a@from.example", ["no@to.example", "yes@to.example"], mail.message("content", subject="Original %s%n subject"),
                               mail_options=" ENVID=QQ+2B314 RET=HDRS", rcpt_options="")
    number = text.split()[-1]
    m = home.wait(1)[0]
    assert m.sender == "" and m.recipients == ["a@from.example"]
    whole, parts, fields, rcpts = report(m)
    assert "MAILER-DAEMON@mx.test.example" in whole["From"] and "a@from.example" in whole["To"]
    assert whole["Auto-Submitted"].startswith("auto-") and whole["Date"] and whole["Message-ID"] and whole["Subject"]
    assert fields["Reporting-MTA"] == "dns; mx.test.example" and fields["Original-Envelope-Id"] == "QQ+314" and fields["Arrival-Date"], fields
    assert len(rcpts) == 1, rcpts
    assert rcpts[0]["Final-Recipient"] == "rfc822; no@to.example" and rcpts[0]["Action"] == "failed" and rcpts[0]["Status"] == "5.1.1", rcpts
    assert rcpts[0]["Diagnostic-Code"].startswith("smtp; 550 5.1.1") and rcpts[0]["Remote-MTA"].startswith("dns; 127.0.0.2"), rcpts
    assert "no@to.example" in parts[0].get_content() and number in m.content.decode()
    assert parts[2].get_content_type() == "text/rfc822-headers"
    returned = m.content.split(b"text/rfc822-headers")[1]
    assert b"Original %s%n subject" in returned and b"This is message" not in returned
    assert [x.recipients for x in out.messages] == [["yes@to.example"]]
    mta.wait_empty()
    mta.wait_log(f"{number}: removed")
    log = mta.log()
    assert f"{number}: sender non-delivery notification: " in log
    bounce = log.split(f"{number}: sender non-delivery notification: ")[1].split()[0]
    assert f"{bounce}: from=<>, " in log
    mta.wait_log(f"{bounce}: removed")


@limit(60)
def test_parameters(world):
    """NOTIFY, RET, ORCPT: who hears what."""
    home, out = sinks()
    out.extensions = ("PIPELINING", "ENHANCEDSTATUSCODES")   # no DSN: what we pass on ends there
    mta = world.mtad(routes=ROUTES)
    client = Client()
    small = mail.message("full")
    cases = [
        # options of MAIL, options of RCPT, recipient, actions reported
        ("", "", "no@to.example", ["failed"]),
        ("", " NOTIFY=NEVER", "no@to.example", []),
        ("", " NOTIFY=SUCCESS", "no@to.example", []),
        ("", " NOTIFY=DELAY", "no@to.example", []),
        ("", " NOTIFY=FAILURE", "no@to.example", ["failed"]),
        ("", " NOTIFY=SUCCESS", "yes@to.example", ["relayed"]),
        ("", " NOTIFY=SUCCESS,FAILURE,DELAY", "yes@to.example", ["relayed"]),
        ("", "", "yes@to.example", []),
        ("", " NOTIFY=FAILURE", "yes@to.example", []),
        (" RET=FULL", " ORCPT=rfc822;first+2Blast@orig.example", "no@to.example", ["failed"]),
    ]
    for number, (of_mail, of_rcpt, rcpt, _) in enumerate(cases):
        code, text = client.send(f"s{number}@from.example", rcpt, small, mail_options=of_mail, rcpt_options=of_rcpt)
        assert code == 250, text
    mta.wait_empty()
    time.sleep(0.3)
    wrong = []
    for number, (_, _, _, actions) in enumerate(cases):
        got = [r["Action"] for m in home.messages if m.recipients == [f"s{number}@from.example"] for r in report(m)[3]]
        if got != actions:
            wrong.append(f"{cases[number]}: {got}")
    assert not wrong, "\n".join(wrong)
    full = [m for m in home.messages if m.recipients == ["s9@from.example"]][0]
    whole, parts, fields, rcpts = report(full)
    assert rcpts[0]["Original-Recipient"] == "rfc822; first+last@orig.example", rcpts
    assert parts[2].get_content_type() == "message/rfc822" and b"This is message full." in full.content
    default = [m for m in home.messages if m.recipients == ["s0@from.example"]][0]
    assert b"no@to.example" in default.content


def test_dsn_is_passed_on(world):
    """A next hop that knows DSN gets the parameters, and we report nothing for it."""
    home, out = sinks()
    mta = world.mtad(routes=ROUTES)
    code, text = Client().send("a@from.example", "yes@to.example", mail.message(1), mail_options=" RET=HDRS ENVID=abc", rcpt_options=" NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@y.example")
    assert code == 250, text
    m = out.wait(1)[0]
    assert "RET=HDRS" in m.mail_line and "ENVID=abc" in m.mail_line and "NOTIFY=SUCCESS,DELAY" in m.rcpt_lines[0] and "ORCPT=rfc822;x@y.example" in m.rcpt_lines[0]
    mta.wait_empty()
    time.sleep(0.3)
    assert not home.messages


@limit(60)
def test_delay_and_expiry(world):
    """A warning once, to those who are to have it; at the end a bounce with the last reason."""
    home, out = sinks()
    mta = world.mtad(routes=ROUTES, queue="retry 1s; expire 8s; delay-warning 3s")
    client = Client()
    for sender, options in (("default", ""), ("never", " NOTIFY=NEVER"), ("failure", " NOTIFY=FAILURE"), ("delay", " NOTIFY=DELAY")):
        assert client.send(f"{sender}@from.example", "late@to.example", mail.message(sender), rcpt_options=options)[0] == 250

    def got(sender):
        return [r["Action"] for m in home.messages if m.recipients == [f"{sender}@from.example"] for r in report(m)[3]]

    wait_for("the warnings", lambda: got("default") and got("delay"), 20)
    mta.wait_empty(30)
    wait_for("the ends", lambda: "failed" in got("default") and "failed" in got("failure"), 20)
    assert (got("default"), got("never"), got("failure"), got("delay")) == (["delayed", "failed"], [], ["failed"], ["delayed"])
    last = [m for m in home.messages if m.recipients == ["failure@from.example"]][0]
    whole, parts, fields, rcpts = report(last)
    assert "450 4.2.0 later" in rcpts[0]["Diagnostic-Code"] and rcpts[0]["Status"].startswith(("4.", "5.")), rcpts
    mta.wait_log("status=expired", count=4)
    audit = mta.status()["audit"]
    assert audit["expired"] == 4 and audit["balanced"] is True, audit


@limit(60)
def test_delay_warning_only_for_the_trusted(world):
    """A stranger's mail that is late is not answered, since its sender may be forged."""
    home, out = sinks()
    mta = world.mtad(listen="listen main { address 127.0.0.1:25 }", routes="route to { match rcpt-domain to.example; relay smtp://127.0.0.2:25 }\n" + ROUTES,
                     queue="retry 1s; expire 1d; delay-warning 2s")
    client = Client()
    assert client.send("plain@from.example", "late@to.example", mail.message(1))[0] == 250
    assert client.send("asked@from.example", "late@to.example", mail.message(2), rcpt_options=" NOTIFY=DELAY")[0] == 250
    home.wait(1, 20)
    time.sleep(2)
    assert [m.recipients for m in home.messages] == [["asked@from.example"]]
    assert mta.count()["messages"] == 2


def test_double_bounce(world):
    """A bounce that cannot be delivered is dropped with a log line, or goes to `double-bounce`."""
    out = Sink(("127.0.0.2", 25), answers=dict(REFUSE))
    mta = world.mtad(routes="route out { match any; relay smtp://127.0.0.2:25 }")
    assert Client().send("no@from.example", "no@to.example", mail.message(1))[0] == 250
    mta.wait_empty()
    mta.wait_log("a bounce of a bounce is dropped")
    assert not out.messages
    mta.stop()
    mta.write_config(routes="route out { match any; relay smtp://127.0.0.2:25 }", extra="double-bounce trouble@admin.example")
    mta.start()
    assert Client().send("no@from.example", "no@to.example", mail.message(2))[0] == 250
    m = out.wait(1)[0]
    assert m.recipients == ["trouble@admin.example"] and m.sender == ""
    mta.wait_empty()
    assert mta.status()["audit"]["balanced"] is True


def test_null_sender(world):
    """Mail from <> that fails is not bounced."""
    home, out = sinks()
    mta = world.mtad(routes=ROUTES)
    assert Client().send("", "no@to.example", mail.message(1))[0] == 250
    mta.wait_empty()
    time.sleep(0.3)
    mta.wait_log("status=bounced")
    assert not home.messages


HOSTILE_WORDS = [
    b"550 5.1.1 %s%s%s%n%x\r\n",
    b"550 5.1.1 \x1b[31mred\x1b[0m \x00\x01\x7f\xff\xfe\r\n",
    b"550-5.1.1 Content-Type: text/html\r\n550-5.1.1\r\n550-5.1.1 --boundary\r\n550 5.1.1 <script>alert(1)</script>\r\n",
    b"550 5.1.1 " + b"long " * 90 + b"\r\n",
    b"550 5.1.1 " + b"w" * 480 + b"\r\n",
    b"550 5.1.1 Gr\xc3\xbc\xc3\x9fe\r\n",
    b"550\r\n",
]


@limit(60)
def test_words_of_the_remote_are_encoded(world):
    """Whatever the remote says, the report stays one: its parts and fields are those that we wrote."""
    home = Sink(("127.0.0.7", 25))
    routes = "route home { match rcpt-domain from.example; relay smtp://127.0.0.7:25 }\n"
    for n, words in enumerate(HOSTILE_WORDS):
        Sink((f"127.0.2.{n + 1}", 25), answers={"RCPT": words})
        routes += f"route r{n} {{ match rcpt-domain d{n}.example; relay smtp://127.0.2.{n + 1}:25 }}\n"
    mta = world.mtad(routes=routes)
    client = Client()
    for n in range(len(HOSTILE_WORDS)):
        assert client.send(f"s{n}@from.example", f"user@d{n}.example", mail.message(n))[0] == 250
    home.wait(len(HOSTILE_WORDS))
    for m in home.messages:
        whole, parts, fields, rcpts = report(m)
        assert [p.get_content_type() for p in parts] in (["text/plain", "message/delivery-status", "text/rfc822-headers"],
                                                         ["text/plain", "message/delivery-status", "message/rfc822"]), m.content
        assert len(rcpts) == 1 and set(rcpts[0]) <= {"Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code", "Last-Attempt-Date"}, rcpts
        assert all(len(line) <= 998 for line in m.content.split(b"\r\n"))
        assert not any(c < 32 and c not in b"\r\n\t" for c in m.content), m.content
    log = mta.log()
    assert not any(ord(c) < 32 and c not in "\n\t" for c in log) and "\x7f" not in log, "control characters in the log"
    assert sum(r["restarts"] for r in mta.roles()) == 0


def test_bounce_for_utf8(world):
    """RFC 6533: the report of mail that needed SMTPUTF8."""
    home, out = sinks()
    world.mtad(routes=ROUTES)
    code, text = Client().send("a@from.example", "no@größe.example", "Subject: Grüße\r\n\r\nhi\r\n".encode(), mail_options=" SMTPUTF8 BODY=8BITMIME")
    assert code == 250, text
    m = home.wait(1)[0]
    assert b"message/global-delivery-status" in m.content and "Final-Recipient: utf-8; no@größe.example".encode() in m.content, m.content


@limit(60)
def test_bounces_are_not_lost(world):
    """The bounce is committed with the outcome that caused it: after SIGKILL each sender of refused mail has one, whenever it came."""
    out = Sink(("127.0.0.2", 25), answers=dict(REFUSE))
    mta = world.mtad(routes=ROUTES, queue="retry 1s; expire 1d")
    client = Client()
    for n in range(60):
        assert client.send(f"s{n}@from.example", "no@to.example", mail.message(n))[0] == 250
    mta.kill()
    mta.start()
    home = Sink(("127.0.0.7", 25))
    mta.ctl("queue", "flush")
    mta.wait_empty(40)
    assert {m.recipients[0] for m in home.messages} == {f"s{n}@from.example" for n in range(60)}
    assert not out.messages


def test_bouncing_the_queue_spares_the_bounces(world):
    """`queue bounce` without filters, over several slices: each sender gets one, and none of these is bounced in its turn."""
    held = 300   # more than one slice
    sink = world.add(Sink())
    world.add(Sink(("127.0.0.3", 25), answers={"RCPT": b"450 4.2.0 later\r\n"}))
    daemon = world.mtad(queue="retry 1h; expire 1d", routes="route gone { match rcpt-domain gone.example; relay smtp://127.0.0.3:25 }\n"
                        "route out { match any; relay smtp://127.0.0.2:25 }")
    client = Client()
    for i in range(held):
        assert client.send(f"s{i}@back.example", f"r{i}@gone.example", "Subject: x\n\nx\n")[0] == 250
    wait_for("all are deferred", lambda: daemon.ctl("queue", "count", "--state", "deferred")[0]["messages"] == held)
    done = daemon.ctl("queue", "bounce", "--yes")[0]
    assert done["messages"] == held, done
    daemon.wait_empty()
    assert sorted(m.recipients[0] for m in sink.messages) == sorted(f"s{i}@back.example" for i in range(held))
