"""Postfix as the next hop that accepts, defers, refuses and greylists, and Postfix as the client."""
import email

from harness import mail, smtp
from harness.core import limit, wait_for
from harness.postfix import Greylist, Postfix

ACCESS = """later@post.example 450 4.7.1 come back later
never@post.example 550 5.1.1 no such user here
grey@post.example greylist
"""


def report_of(contents):
    """The delivery status part of the one bounce among messages."""
    for content in contents:
        parsed = email.message_from_bytes(content)
        if parsed.get_content_type() == "multipart/report":
            return parsed
    return None


@limit(120)
def test_postfix_as_next_hop(world):
    Greylist(world)
    postfix = Postfix(world, access=ACCESS)
    mta = world.mtad()
    client = smtp.Client()
    for number, who in enumerate(("yes", "later", "never", "grey")):
        code, text = client.send("yes@post.example", f"{who}@post.example", mail.message(who))
        assert code == 250, text
    # accepted at once; never: a bounce to the sender; grey: taken at the second try
    arrived = postfix.wait_arrived(3)
    wait_for("all three are there", lambda: {mail.id_of(c) for c in postfix.arrived()} >= {"yes", "grey"} and report_of(postfix.arrived()), 30, 0.2)
    arrived = postfix.arrived()
    assert sorted(mail.id_of(c) for c in arrived if report_of([c]) is None) == ["grey", "yes"], arrived
    report = report_of(arrived)
    status = report.get_payload()[1].as_string()
    assert "Final-Recipient: rfc822; never@post.example" in status and "Action: failed" in status and "Status: 5.1.1" in status, status
    assert "550 5.1.1" in status and "no such user here" in status, status
    # deferred: still here, and says why
    row = wait_for("only the deferred one is left", lambda: (lambda rows: len(rows) == 1 and rows[0])(mta.list()), 20, 0.2)
    assert row["recipients"][0]["address"] == "later@post.example"
    assert "450" in row["recipients"][0]["delay_reason"] and "come back later" in row["recipients"][0]["delay_reason"], row
    mta.wait_log("status=sent (250 2.0.0 Ok: queued as")
    mta.wait_log("status=bounced (host 127.0.0.2[127.0.0.2] said: 550 5.1.1")
    assert mta.status()["audit"]["balanced"] is True


def test_postfix_as_next_hop_gets_what_was_sent(world):
    postfix = Postfix(world)
    world.mtad()
    client = smtp.Client()
    body = "".join(f"line {n}\r\n" for n in range(5000)) + ".\r\n..two\r\n" + "x" * 900 + "\r\nGr\u00fc\u00dfe\r\n"
    code, text = client.send("a@from.example", ["one@post.example", "two@post.example"], "Subject: whole\r\n\r\n" + body, mail_options=" BODY=8BITMIME")
    assert code == 250, text
    arrived = postfix.wait_arrived(2)
    for content in arrived:
        assert content.split(b"\n\n", 1)[1] == body.replace("\r\n", "\n").encode()
    wait_for("one transaction of two recipients", lambda: postfix.log().count("nrcpt=2") == 1)


def test_postfix_hears_of_dsn_parameters(world):
    """NOTIFY, ORCPT, ENVID and RET are passed on: Postfix then reports the success."""
    postfix = Postfix(world)
    mta = world.mtad()
    client = smtp.Client()
    code, text = client.send("asker@post.example", "one@post.example", mail.message("asked"), mail_options=" RET=HDRS ENVID=E+2B1",
                             rcpt_options=" NOTIFY=SUCCESS ORCPT=rfc822;first@orig.example")
    assert code == 250, text
    postfix.wait_arrived(2)
    report = wait_for("a report", lambda: report_of(postfix.arrived()))
    status = report.get_payload()[1].as_string()
    assert "Original-Envelope-Id: E+1" in status and "first@orig.example" in status and "Action: delivered" in status, status
    assert "MAILER-DAEMON@postfix.example" in report["From"], "the last host that knows reports, and only that"
    mta.wait_empty()


@limit(120)
def test_postfix_as_client(world):
    """Postfix relays everything to Bulkhead, which has a sink behind it."""
    sink = smtp.Sink(("127.0.0.3", 25))
    mta = world.mtad(routes="route no { match rcpt refused@to.example; reject 550 5.7.1 not this one }\n"
                            "route out { match any; relay smtp://127.0.0.3:25 }")
    postfix = Postfix(world, listen="127.0.0.2:25", relayhost="[127.0.0.1]:25")
    client = smtp.Client(("127.0.0.2", 25))
    for number in range(30):
        code, text = client.send("yes@post.example", [f"r{k}@to.example" for k in range(3)], mail.message(number, 20000 if number % 3 else 0))
        assert code == 250, text
    code, text = client.send("yes@post.example", "refused@to.example", mail.message("refused"))
    assert code == 250, text
    sink.wait(30)
    assert sorted(int(mail.id_of(m.content)) for m in sink.messages) == list(range(30))
    assert all(m.recipients == ["r0@to.example", "r1@to.example", "r2@to.example"] for m in sink.messages)
    report = wait_for("Postfix reports the refused one", lambda: report_of(postfix.arrived()), 30)
    assert "5.7.1" in report.get_payload()[1].as_string()
    assert "not this one" in report.get_payload()[1].as_string()
    mta.wait_empty()
