"""Invalid answers of remote servers, in the line of KB Q214407: the message stays queued with a clear reason, and everything else runs.

Each case is a destination with a sink of its own; all of them misbehave at once, beside one destination that is well.
"""
import time

from harness import dns, mail, smtp
from harness.core import limit, wait_for
from harness.smtp import Sink

OK = b"250-sink.example\r\n250 SIZE 1000000\r\n"


def slowly(octets, pause=0.3):
    """An answer that comes octet by octet: each read makes progress, the reply as a whole is too late."""
    def answer(session, line):
        for n in range(len(octets)):
            session.connection.sendall(octets[n:n + 1])
            time.sleep(pause)
        return b""
    return answer


def endless(octets, times=20000):
    def answer(session, line):
        for _ in range(times):
            session.connection.sendall(octets)
        return False
    return answer


def taken_after(answer):
    """For an answer to the final dot that goes out by itself, piece by piece, and says 250 in the end."""
    def wrapped(session, line):
        rest = answer(session, line)
        session.connection.sendall(rest)
        session.sink.messages.append(session.sink.offered)
        return b""
    return wrapped


def silent(session, line):
    time.sleep(20)
    return False


def closes(session, line):
    return False


# name, answers of the sink, words that must be in the reason
PROTOCOL, LATE, LOST = "protocol error", "timed out", "lost connection"
BROKEN = [
    ("no banner", {"banner": silent}, LATE),
    ("banner by the octet", {"banner": slowly(b"220 sink.example ESMTP\r\n")}, LATE),
    ("banner 554", {"banner": b"554 5.7.1 go away\r\n"}, "go away"),
    ("banner 421", {"banner": b"421 4.3.2 too busy now\r\n"}, "too busy now"),
    ("banner without end", {"banner": endless(b"x" * 4096, 500)}, PROTOCOL),
    ("banner code of two digits", {"banner": b"22 sink.example\r\n"}, PROTOCOL),
    ("banner code of four digits", {"banner": b"2200 sink.example\r\n"}, PROTOCOL),
    ("banner of letters", {"banner": b"abc sink.example\r\n"}, PROTOCOL),
    ("banner with a minus", {"banner": b"-20 sink.example\r\n"}, PROTOCOL),
    ("banner after a space", {"banner": b" 220 sink.example\r\n"}, PROTOCOL),
    ("empty banner", {"banner": b"\r\n"}, PROTOCOL),
    ("banner of NUL", {"banner": b"\0" * 64 + b"\r\n"}, PROTOCOL),
    ("banner 354", {"banner": b"354 go on\r\n"}, PROTOCOL),
    ("closes instead of a banner", {"banner": closes}, LOST),
    ("EHLO codes differ", {"EHLO": b"250-sink\r\n550-no\r\n250 SIZE\r\n"}, PROTOCOL),
    ("EHLO without last line", {"EHLO": endless(b"250-X-MORE\r\n" * 1000, 500)}, PROTOCOL),
    ("EHLO line without end", {"EHLO": endless(b"250-" + b"X" * 4096, 500)}, PROTOCOL),
    ("EHLO answered by nothing", {"EHLO": silent}, LATE),
    ("EHLO 421", {"EHLO": b"421 4.7.0 not today\r\n"}, "not today"),
    ("EHLO 354", {"EHLO": b"354 send it\r\n"}, PROTOCOL),
    ("EHLO 999", {"EHLO": b"999 whatever\r\n"}, PROTOCOL),
    ("EHLO 000", {"EHLO": b"000 whatever\r\n"}, PROTOCOL),
    ("EHLO of binary", {"EHLO": bytes(range(256)) + b"\r\n"}, PROTOCOL),
    ("EHLO of percent signs", {"EHLO": b"%s%n%s%n%s%n\r\n"}, PROTOCOL),
    ("EHLO code and nothing", {"EHLO": b"250\0\r\n"}, ""),
    ("EHLO bare LF and junk", {"EHLO": b"junk\n\n\njunk\n"}, PROTOCOL),
    ("EHLO by the octet", {"EHLO": slowly(OK)}, LATE),
    ("EHLO, then closed, both ways", {"EHLO": closes, "HELO": closes}, LOST),
    ("EHLO and HELO refused", {"EHLO": b"500 what?\r\n", "HELO": b"550 not you\r\n"}, "not you"),
    ("MAIL answered 354", {"MAIL": b"354 no\r\n"}, PROTOCOL),
    ("MAIL answered by junk", {"MAIL": b"\x80\x81\x82\r\n"}, PROTOCOL),
    ("DATA answered 250", {"DATA": b"250 ok\r\n"}, PROTOCOL),
    ("closes at MAIL", {"MAIL": closes}, LOST),
    ("closes at DATA", {"DATA": closes}, LOST),
    ("final dot answered by junk", {"DOT": b"2x0 ok\r\n"}, "more than once"),
    ("final dot answered by two codes", {"DOT": b"250-ok\r\n550 no\r\n"}, "more than once"),
    ("closes at the final dot", {"DOT": closes}, "more than once"),
    ("final dot answered 354", {"DOT": b"354 more\r\n"}, PROTOCOL),
]

# Answers that are odd, and yet clear: the message is delivered.
ODD = [
    ("EHLO refused, HELO taken", {"EHLO": b"502 5.5.1 not implemented\r\n"}),
    ("EHLO 550, HELO taken", {"EHLO": b"550 what\r\n"}),
    ("closes at EHLO, takes HELO", {"EHLO": closes}),
    ("EHLO of 10,000 lines of capabilities", None),
    ("EHLO with a keyword of 2,000 octets", {"EHLO": b"250-sink\r\n250-" + b"K" * 2000 + b"\r\n250 SIZE 1000000\r\n"}),
    ("EHLO twice the same, and nonsense", {"EHLO": b"250-sink\r\n250-SIZE 1000000\r\n250-SIZE 1000000\r\n250-SIZE x\r\n250-AUTH=LOGIN\r\n250-=\r\n250- \r\n250 8BITMIME\r\n"}),
    ("AUTH with 500 mechanisms", {"EHLO": b"250-sink\r\n250-AUTH " + b" ".join(b"M%d" % n for n in range(500)) + b"\r\n250 PIPELINING\r\n"}),
    ("banner 250", {"banner": b"250 hello\r\n"}),
    ("code alone", {"EHLO": b"250\r\n"}),
    ("LF alone", {"EHLO": b"250-sink\n250 SIZE 1000000\n"}),
    ("354 in many lines, with a pause", {"DATA": lambda s, line: (s.connection.sendall(b"354-one\r\n354-two\r\n"), time.sleep(0.7), b"354 three\r\n")[2]}),
    ("250 of the dot by the octet", {"DOT": taken_after(slowly(b"250 2.0.0 ok\r\n", 0.02))}),
    ("250 of the dot, CR and LF apart", {"DOT": taken_after(lambda s, line: (s.connection.sendall(b"250 ok\r"), time.sleep(0.3), b"\n")[2])}),
    ("250 of the dot, then text without end", {"DOT": lambda s, line: b"250 2.0.0 ok\r\n" + b"and more\r\n" * 3000}),
    ("SIZE 0", {"EHLO": b"250-sink\r\n250 SIZE 0\r\n"}),
]


@limit(120)
def test_invalid_answers(world):
    routes, sinks, odd = "", [], []
    cases = [(name, answers) for name, answers, _ in BROKEN] + ODD
    for number, (name, answers) in enumerate(cases):
        address = f"127.0.2.{number + 1}"
        if answers is None:
            answers = {"EHLO": b"250-sink\r\n" + b"".join(b"250-X-CAP%05d\r\n" % n for n in range(10000)) + b"250 SIZE 1000000\r\n"}
        sink = Sink((address, 25), answers=answers, extensions=("8BITMIME", "SIZE 1000000"))
        (sinks if number < len(BROKEN) else odd).append(sink)
        routes += f"route r{number} {{ match rcpt-domain d{number}.example; relay smtp://{address}:25 }}\n"
    good = Sink(("127.0.0.2", 25))
    mta = world.mtad(routes=routes + "route out { match any; relay smtp://127.0.0.2:25 }", queue="retry 30m; expire 1d",
                     extra="timeouts { connect 3s; banner 3s; ehlo 3s; mail 3s; rcpt 3s; data 3s; data-end 5s; quit 1s; rset 1s }\nlimits { data-rate 0/s }")
    client = smtp.Client()
    for number, (name, _) in enumerate(cases):
        code, text = client.send("sender@from.example", f"user@d{number}.example", mail.message(number))
        assert code == 250, text
        client.send("sender@from.example", "user@good.example", mail.message(f"good-{number}"))
    good.wait(len(cases))

    def reasons():
        return {r["address"]: r["delay_reason"] for row in mta.list() for r in row["recipients"] if r.get("delay_reason")}

    wrong = []
    try:
        wait_for("each broken one waits with a reason", lambda: len(reasons()) >= len(BROKEN), 40, 0.2)
    except AssertionError as error:
        wrong.append(str(error))
    said = reasons()
    for number, (name, _, word) in enumerate(BROKEN):
        reason = said.get(f"user@d{number}.example")
        if not reason or word.lower() not in reason.lower():
            wrong.append(f"{name}: reason {reason!r} lacks {word!r}; {len(sinks[number].messages)} delivered")
        elif any(ord(c) < 32 or ord(c) > 126 for c in reason):
            wrong.append(f"{name}: the reason has unsafe characters: {reason!r}")
    for (name, _), sink in zip(ODD, odd):
        try:
            sink.wait(1, 10)
        except AssertionError as error:
            wrong.append(f"{name}: {error}")
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong)
    status = mta.status()
    assert all(r["restarts"] == 0 for r in status["roles"]), status["roles"]
    assert status["audit"]["delivered"] == len(cases) + len(ODD), "a broken answer was counted as a delivery"
    assert status["audit"]["balanced"] is True and mta.count()["messages"] == len(BROKEN), (status["audit"], mta.count())
    assert client.send("sender@from.example", "user@good.example", mail.message("last"))[0] == 250
    good.wait(len(cases) + 1)


REFUSALS = [
    # name, answers, verdict of the log, dsn
    ("552 to RCPT is like 452", {"RCPT": b"552 5.2.2 mailbox full\r\n"}, "deferred", "4."),
    ("450 to RCPT", {"RCPT": b"450 4.2.1 later\r\n"}, "deferred", "4.2.1"),
    ("550 to RCPT", {"RCPT": b"550 5.1.1 nobody\r\n"}, "bounced", "5.1.1"),
    ("551 with a path is not followed", {"RCPT": b"551 5.1.6 please try <other@elsewhere.example>\r\n"}, "bounced", "5.1.6"),
    ("550 without status", {"RCPT": b"550 nobody\r\n"}, "bounced", "5."),
    ("554 to DATA", {"DATA": b"554 5.7.1 no\r\n"}, "bounced", "5.7.1"),
    ("552 at the final dot", {"DOT": b"552 5.3.4 too big\r\n"}, "bounced", "5.3.4"),
    ("451 at the final dot", {"DOT": b"451 4.3.0 later\r\n"}, "deferred", "4.3.0"),
    ("status contradicts the code", {"DOT": b"451 5.0.0 which\r\n"}, "deferred", "4."),
    ("SIZE too small", {"EHLO": b"250-sink\r\n250 SIZE 100\r\n"}, "bounced", "5.3.4"),
]


@limit(90)
def test_refusals(world):
    """Clear refusals, by step and scope."""
    routes, sinks = "route home { match rcpt-domain from.example; relay smtp://127.0.0.7:25 }\n", []
    home = Sink(("127.0.0.7", 25))
    for number, (name, answers, _, _) in enumerate(REFUSALS):
        sinks.append(Sink((f"127.0.2.{number + 1}", 25), answers=answers))
        routes += f"route r{number} {{ match rcpt-domain d{number}.example; relay smtp://127.0.2.{number + 1}:25 }}\n"
    mta = world.mtad(routes=routes, queue="retry 30m; expire 1d")
    client = smtp.Client()
    for number in range(len(REFUSALS)):
        assert client.send("sender@from.example", f"user@d{number}.example", mail.message(number))[0] == 250

    def line_of(number):
        return [line for line in mta.log().splitlines() if f"to=<user@d{number}.example>" in line]

    wait_for("each has an outcome", lambda: all(line_of(n) for n in range(len(REFUSALS))), 30)
    wrong = []
    for number, (name, _, status, dsn) in enumerate(REFUSALS):
        line = line_of(number)[0]
        if f"status={status} " not in line or f"dsn={dsn}" not in line:
            wrong.append(f"{name}: {line}")
    assert not wrong, "\n".join(wrong)
    home.wait(sum(1 for r in REFUSALS if r[2] == "bounced"))


def test_8bit_goes_as_it_is(world):
    """8-bit mail to a host without 8BITMIME is sent as it is; SMTPUTF8 addresses to a host without SMTPUTF8 are returned with 5.6.7."""
    plain = Sink(("127.0.0.2", 25), extensions=("PIPELINING",))
    home = Sink(("127.0.0.7", 25))
    world.mtad(routes="route home { match rcpt-domain from.example; relay smtp://127.0.0.7:25 }\nroute out { match any; relay smtp://127.0.0.2:25 }")
    client = smtp.Client()
    assert client.send("a@from.example", "b@to.example", "Subject: x\r\n\r\nGrüße\r\n", mail_options=" BODY=8BITMIME")[0] == 250
    assert "Grüße".encode() in plain.wait(1)[0].content
    assert "BODY" not in plain.messages[0].mail_line
    assert client.send("a@from.example", "grüße@to.example", "Subject: x\r\n\r\nhi\r\n", mail_options=" SMTPUTF8")[0] == 250
    assert b"5.6.7" in home.wait(1)[0].content
    # SMTPUTF8 was said, and is not needed: it goes to a host without it
    assert client.send("a@from.example", "b@to.example", "Subject: x\r\n\r\nhi\r\n", mail_options=" SMTPUTF8")[0] == 250
    plain.wait(2)


def test_next_address_after_a_bad_one(world):
    """A host of a destination that fails before anything was delivered is not the end: a host with several addresses is tried through."""
    bad = Sink(("127.0.0.4", 25), answers={"banner": b"554 no\r\n"})
    good = Sink(("127.0.0.2", 25))
    dns.NameServer(world, {"two.test": "@ MX 10 bad\n@ MX 20 good\nbad A 127.0.0.4\ngood A 127.0.0.2"})
    mta = world.mtad(routes="route out { match any; mx }", extra=dns.parts())
    assert smtp.Client().send("a@from.example", "user@two.test", mail.message("x"))[0] == 250
    good.wait(1, 20)
    assert bad.sessions == 1
    mta.wait_empty()
