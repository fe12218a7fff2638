"""The SMTP server from outside: dialogues, relaying, smuggling, limits, timeouts, extensions."""
import socket
import struct
import threading
import time

from harness import mail, smtp
from harness.core import limit, wait_for
from harness.smtp import Client, Sink

MESSAGE = "Subject: x\r\n\r\nhi\r\n"

# Each row: a fresh connection after EHLO; lines to say and the code that each must get. "." alone ends DATA content.
DIALOGUES = [
    ("order", [("RCPT TO:<b@to.example>", 503), ("DATA", 503), ("MAIL FROM:<a@from.example>", 250), ("MAIL FROM:<a@from.example>", 503), ("DATA", 503),
               ("RCPT TO:<b@to.example>", 250), ("DATA", 354), ("x\r\n.", 250), ("DATA", 503)]),
    ("RSET ends a transaction", [("MAIL FROM:<a@from.example>", 250), ("RCPT TO:<b@to.example>", 250), ("RSET", 250), ("DATA", 503), ("RCPT TO:<b@to.example>", 503)]),
    ("EHLO ends a transaction", [("MAIL FROM:<a@from.example>", 250), ("RCPT TO:<b@to.example>", 250), ("EHLO x.example", 250), ("DATA", 503)]),
    ("no state from these", [("VRFY someone", 252), ("EXPN list", 502), ("ETRN x", 502), ("TURN", 502), ("HELP", 214), ("NOOP", 250), ("NOOP words", 250)]),
    ("unknown", [("FROB", 500), ("XCLIENT ADDR=1.2.3.4", 500), ("XFORWARD NAME=x", 500), ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2", 500), ("", 500)]),
    ("no TLS and no AUTH here", [("STARTTLS", 502), ("AUTH PLAIN AGEAYg==", 503)]),
    ("SIZE", [("MAIL FROM:<a@from.example> SIZE=1000", 250), ("RSET", 250), ("MAIL FROM:<a@from.example> SIZE=18446744073709551615", 552),
              ("MAIL FROM:<a@from.example> SIZE=99999999999999999999999", 552), ("MAIL FROM:<a@from.example> SIZE=-1", 501),
              ("MAIL FROM:<a@from.example> SIZE=1 SIZE=1", 501), ("MAIL FROM:<a@from.example> SIZE=", 501), ("MAIL FROM:<a@from.example> SIZE", 501)]),
    ("BODY", [("MAIL FROM:<a@from.example> BODY=8BITMIME", 250), ("RSET", 250), ("MAIL FROM:<a@from.example> BODY=7BIT", 250), ("RSET", 250),
              ("MAIL FROM:<a@from.example> BODY=BINARYMIME", 501), ("MAIL FROM:<a@from.example> BODY=x", 501)]),
    ("parameters of DSN", [("MAIL FROM:<a@from.example> RET=FULL ENVID=x+2By", 250), ("RCPT TO:<b@to.example> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;b@to.example", 250),
                           ("RCPT TO:<c@to.example> NOTIFY=NEVER", 250), ("RCPT TO:<c@to.example> NOTIFY=NEVER,DELAY", 501), ("RCPT TO:<c@to.example> NOTIFY=", 501),
                           ("RCPT TO:<c@to.example> NOTIFY=WHY", 501), ("RCPT TO:<c@to.example> ORCPT=nothing", 501), ("RCPT TO:<c@to.example> ORCPT=rfc822;bad+", 501),
                           ("RSET", 250), ("MAIL FROM:<a@from.example> RET=SOME", 501), ("MAIL FROM:<a@from.example> ENVID=" + "x" * 200, 501),
                           ("MAIL FROM:<a@from.example> RET=FULL RET=HDRS", 501)]),
    ("unknown parameters", [("MAIL FROM:<a@from.example> X-FOO=1", 555), ("MAIL FROM:<a@from.example>", 250), ("RCPT TO:<b@to.example> FOO", 555)]),
    ("addresses", [("MAIL FROM:<>", 250), ("RSET", 250), ("MAIL FROM:<a@b>", 250), ("RSET", 250), ("MAIL FROM: <a@from.example>", 250), ("RSET", 250),
                   ('MAIL FROM:<"a b"@from.example>', 250), ("RCPT TO:<postmaster>", 250), ("RCPT TO:<PostMaster>", 250), ("RCPT TO:<a@[192.0.2.1]>", 250),
                   ("RCPT TO:<a@[IPv6:2001:db8::1]>", 250), ("RCPT TO:<@relay.example,@other.example:b@to.example>", 250), ("RCPT TO:<>", 501),
                   ("RCPT TO:<nobody>", 501), ("RCPT TO:<a@>", 501), ("RCPT TO:<@b>", 501), ("RCPT TO:<a@b..example>", 501), ("RCPT TO:<a@b@c>", 501),
                   ("RCPT TO:a@to.example", 501), ("RCPT TO:<" + "a" * 65 + "@to.example>", 250), ("RCPT TO:<" + "a" * 320 + "@to.example>", 501), ("RCPT TO:<a@" + "b" * 64 + ".example>", 501),
                   ("RCPT TO:<a@" + "b." * 130 + "example>", 501), ("RCPT TO:<a\\@to.example>", 501), ("RCPT TO:<a b@to.example>", 501)]),
    ("UTF-8 needs its parameter", [("MAIL FROM:<grüße@from.example>", 553), ("MAIL FROM:<grüße@from.example> SMTPUTF8", 250), ("RCPT TO:<b@größe.example>", 250), ("RSET", 250),
                                   ("MAIL FROM:<a@from.example>", 250), ("RCPT TO:<grüße@to.example>", 553)]),
    ("arguments where none belong", [("DATA now", 501), ("RSET now", 501), ("QUIT now", 501)]),
    ("helo names", [("HELO", 501), ("EHLO", 501), ("EHLO [127.0.0.1]", 250), ("HELO x.example", 250)]),
    ("HELO takes no parameters", [("HELO x.example", 250), ("MAIL FROM:<a@from.example> SIZE=100", 555), ("MAIL FROM:<a@from.example>", 250)]),
    ("case", [("mail from:<a@from.example>", 250), ("rCPT tO:<b@to.example>", 250), ("rset", 250)]),
    ("bare CR inside a command", [("NOOP a\rMAIL FROM:<a@b.example>", 500)]),
    ("NUL in a command", [("NOOP a\0b", 500)]),
]


def test_dialogues(world):
    Sink()
    mta = world.mtad(extra="limits { message-size 1M; errors 50 }")
    wrong = []
    for name, lines in DIALOGUES:
        client = Client()
        for line, wanted in lines:
            code, text = client.say(line)
            if code != wanted:
                wrong.append(f"{name}: {line[:60]!r} got {text!r}, not {wanted}")
        client.close()
    assert not wrong, "\n".join(wrong)
    assert all(r["restarts"] == 0 for r in mta.roles()), mta.roles()


def test_what_ehlo_lists(world):
    Sink()
    world.mtad(extra="limits { message-size 2M; recipients 7 }")
    lines = [line[4:] for line in Client().ehlo[1].splitlines()]
    assert lines[0].split()[0] == "mx.test.example"
    for keyword in ("PIPELINING", "SIZE 2097152", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "CHUNKING", "DSN"):
        assert keyword in lines, (keyword, lines)
    assert any(line.startswith("LIMITS ") and "RCPTMAX=7" in line for line in lines), lines
    assert not any(line.startswith(("STARTTLS", "AUTH", "BINARYMIME", "XCLIENT", "ETRN")) for line in lines), lines


# Content between header and the octets that must not end it. RFC 5321 4.1.1.4: only CR LF . CR LF does.
SMUGGLING = [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\n.\r", b"\r\n\0.\r\n", b"\r\r\n.\r\r\n", b"\r\n.\r\r\n", b"\r\n.\0\r\n"]
INSIDE = b"MAIL FROM:<evil@from.example>\r\nRCPT TO:<victim@to.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\n"


def test_smuggling_is_refused(world):
    """`bare-newline refuse`: 550 and the end of the session; nothing of it is queued, neither the outer nor the inner message."""
    sink = Sink()
    mta = world.mtad()
    for end in SMUGGLING:
        client = Client()
        for line in ("MAIL FROM:<a@from.example>", "RCPT TO:<b@to.example>"):
            assert client.say(line)[0] == 250
        assert client.say("DATA")[0] == 354
        client.raw(b"Subject: outer\r\n\r\nouter" + end + INSIDE)
        codes = [client.reply()[0]]
        if end == b"\r\n\0.\r\n" or end == b"\r\n.\0\r\n":
            # an ordinary line that holds NUL: content up to the real end, and the inner one is only text; or refused
            assert codes[0] in (250, 550, 554), (end, codes)
            continue
        assert codes == [550], (end, codes)
        assert client.at_end(), f"after {end!r} the session goes on"
    time.sleep(0.5)
    assert not [m for m in sink.messages if "victim@to.example" in m.recipients], "smuggled"
    assert sum(r["restarts"] for r in mta.roles()) == 0


def test_bare_newlines_are_mended_where_asked(world):
    """`bare-newline normalise`: what is stored and passed on has CR LF only, and no bare newline ends the content."""
    sink = Sink()
    world.mtad(listen="listen old { address 127.0.0.1:25; trust 127.0.0.0/8; bare-newline normalise }")
    client = Client()
    for line in ("MAIL FROM:<a@from.example>", "RCPT TO:<b@to.example>"):
        assert client.say(line)[0] == 250
    assert client.say("DATA")[0] == 354
    client.raw(b"Subject: old\n\none\ntwo\r\n.\nthree\rfour\n.\n" + b"five\r\n.\r\n")
    code, text = client.reply()
    assert code == 250, text
    content = sink.wait(1)[0].content
    assert b"\r\none\r\ntwo\r\n" in content and b"five\r\n" in content and b"three" in content, content
    assert b"\n" not in content.replace(b"\r\n", b"") and b"\r" not in content.replace(b"\r\n", b""), content
    assert len(sink.messages) == 1


def test_pipelining(world):
    """Whole dialogues in one segment, and in single octets; answers in order, one for each command."""
    sink = Sink()
    world.mtad()
    one = b"MAIL FROM:<a@from.example>\r\nRCPT TO:<b@to.example>\r\nRCPT TO:<bad@>\r\nRCPT TO:<c@to.example>\r\nDATA\r\n"
    client = Client()
    client.raw(one)
    assert [client.reply()[0] for _ in range(5)] == [250, 250, 501, 250, 354]
    client.raw(b"Subject: one\r\n\r\none\r\n.\r\n" + one)
    assert [client.reply()[0] for _ in range(6)] == [250, 250, 250, 501, 250, 354]
    client.raw(b"Subject: two\r\n\r\ntwo\r\n.\r\nQUIT\r\n")
    assert [client.reply()[0] for _ in range(2)] == [250, 221]
    assert client.at_end()

    client = Client()
    for octet in one:
        client.raw(bytes([octet]))
    assert [client.reply()[0] for _ in range(5)] == [250, 250, 501, 250, 354]
    for octet in b"Subject: three\r\n\r\n.three\r\n.\r\nNOOP\r\n":
        client.raw(bytes([octet]))
    assert [client.reply()[0] for _ in range(2)] == [250, 250]
    assert [m.recipients for m in sink.wait(3)] == [["b@to.example", "c@to.example"]] * 3

    client = Client()
    client.raw(b"NOOP\r\n" * 90)
    assert [client.reply()[0] for _ in range(90)] == [250] * 90


def test_chunking(world):
    """BDAT: chunks, CR LF . CR LF inside, a chunk of nothing, mixed with DATA, without a transaction."""
    sink = Sink()
    world.mtad(extra="limits { message-size 1M }")
    client = Client()

    def begin():
        assert client.say("MAIL FROM:<a@from.example>")[0] == 250 and client.say("RCPT TO:<b@to.example>")[0] == 250

    def bdat(content, last=False):
        client.raw(b"BDAT %d%s\r\n" % (len(content), b" LAST" if last else b"") + content)
        return client.reply()[0]

    begin()
    assert bdat(b"Subject: chunks\r\n\r\nline\r\n.\r\n") == 250
    assert bdat(b".dot\r\nMAIL FROM:<evil@x>\r\n.\r") == 250
    assert bdat(b"\nend\r\n") == 250
    assert bdat(b"", last=True) == 250
    content = sink.wait(1)[0].content
    assert content.endswith(b"Subject: chunks\r\n\r\nline\r\n.\r\n.dot\r\nMAIL FROM:<evil@x>\r\n.\r\nend\r\n"), content
    begin()
    assert bdat(b"Subject: one\r\n\r\n" + b"y" * 998 + b"\r\n", last=True) == 250
    sink.wait(2)
    assert bdat(b"MAIL FROM:<evil@x>\r\n") == 503, "the octets of a refused chunk are eaten"
    begin()
    assert bdat(b"Subject: x\r\n\r\n") == 250
    assert client.say("DATA")[0] == 503 and client.say("RCPT TO:<c@to.example>")[0] == 503
    assert client.say("RSET")[0] == 250
    begin()
    chunk = b"Subject: piped\r\n\r\nnew\r\n"
    client.raw(b"BDAT %d LAST\r\n" % len(chunk) + chunk + b"NOOP\r\n")
    assert [client.reply()[0] for _ in range(2)] == [250, 250]
    client = Client()
    begin()
    big = b"z" * 76 + b"\r\n"
    client.raw(b"BDAT 1560000 LAST\r\n" + big * 20000)
    assert client.reply()[0] == 552
    client = Client()
    client.raw(b"BDAT x\r\n")
    assert client.reply()[0] == 501


def test_smtputf8(world):
    sink = Sink()
    world.mtad()
    client = Client()
    code, text = client.send("grüße@from.example", "größe@to.example", "Subject: Grüße\r\n\r\nhallo\r\n".encode(), mail_options=" SMTPUTF8 BODY=8BITMIME")
    assert code == 250, text
    m = sink.wait(1)[0]
    assert "SMTPUTF8" in m.mail_line and m.sender.encode("utf-8", "surrogateescape").decode() == "grüße@from.example"
    assert "UTF8SMTP" in m.header("Received")[0], m.header("Received")


def test_line_lengths(world):
    """Text lines are taken up to line-octets and relayed unchanged; `strict` refuses over 998."""
    sink = Sink()
    world.mtad(listen="listen main { address 127.0.0.1:25; trust 127.0.0.0/8 }\nlisten strict { address 127.0.0.1:26; trust 127.0.0.0/8; strict on }",
               extra="limits { line-octets 10000 }")
    for port, length, wanted in ((25, 998, 250), (25, 9000, 250), (25, 11000, 554), (26, 998, 250), (26, 1100, 554)):
        code, text = Client(("127.0.0.1", port)).send("a@from.example", "b@to.example", f"Subject: {length}\r\n\r\n" + "x" * length + "\r\n")
        assert code == wanted, (port, length, text)
    assert sorted(len(line) for m in sink.wait(3) for line in m.content.split(b"\r\n") if line.startswith(b"xxx")) == [998, 998, 9000]


def test_limits(world):
    sink = Sink()
    mta = world.mtad(extra="limits { message-size 100K; recipients 5; errors 4; junk-commands 10; hops 10 }")
    # too many recipients: 452 to the rest, the first five are served
    client = Client()
    assert client.say("MAIL FROM:<a@from.example>")[0] == 250
    codes = [client.say(f"RCPT TO:<r{n}@to.example>")[0] for n in range(8)]
    assert codes == [250] * 5 + [452] * 3, codes
    assert client.say("DATA")[0] == 354 and client.data(MESSAGE)[0] == 250
    assert len(sink.wait(1)[0].recipients) == 5
    # too large: 552 after the content, the session goes on
    assert client.send("a@from.example", "b@to.example", mail.message(1, 150000))[0] == 552
    assert client.send("a@from.example", "b@to.example", mail.message(1, 50000))[0] == 250
    # without end: cut
    client = Client()
    for line in ("MAIL FROM:<a@from.example>", "RCPT TO:<b@to.example>", "DATA"):
        client.say(line)
    try:
        for _ in range(400):
            client.raw(b"x" * 70 + b"\r\n" + b"y" * 10000 + b"\r\n")
    except ConnectionError:
        pass
    code, text = client.reply()
    assert code in (552, 0), text
    # loop
    hops = "".join(f"Received: from h{n} by h{n + 1}; Mon, 1 Jan 2024 00:00:00 +0000\r\n" for n in range(11))
    code, text = Client().send("a@from.example", "b@to.example", hops + MESSAGE)
    assert code == 554 and "5.4.6" in text, text
    # error budget, and the budget of commands without use
    for command, many in (("FROB", 20), ("NOOP", 40)):
        client, codes = Client(), []
        for _ in range(many):
            codes.append(client.say(command)[0])
            if codes[-1] in (421, 0):
                break
        assert codes[-1] == 421 and client.at_end(), (command, codes)
    # a command line without end
    client = Client()
    try:
        for _ in range(400):
            client.raw(b"A" * 5000)
        client.raw(b"\r\n")
    except ConnectionError:
        pass
    assert client.reply()[0] in (500, 421, 0)
    assert sum(r["restarts"] for r in mta.roles()) == 0


def test_timeouts(world):
    """A client that says nothing, and one that stops in the middle of the content: 421, nothing queued."""
    sink = Sink()
    mta = world.mtad(extra="timeouts { server-command 2s; server-data 2s }")
    silent, halted = Client(greet=None), Client()
    for line in ("MAIL FROM:<a@from.example>", "RCPT TO:<b@to.example>", "DATA"):
        halted.say(line)
    halted.raw(b"Subject: half\r\n\r\nhalf")
    drip = Client(greet=None)

    def dripping():
        try:
            for _ in range(8):
                drip.raw(b"N")
                time.sleep(0.7)
        except OSError:
            pass

    threading.Thread(target=dripping, daemon=True).start()
    assert silent.reply()[0] == 421 and silent.at_end()
    assert halted.reply()[0] == 421 and halted.at_end()
    assert drip.reply()[0] == 421, "a command must come whole within its time"
    assert not sink.messages and mta.count()["messages"] == 0


def test_resets(world):
    """A client that is gone before the final dot: nothing. One that is gone after it (RFC 1047): once."""
    sink = Sink()
    mta = world.mtad()

    def vanish(client):
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    for content in (b"Subject: x\r\n\r\nhalf", b"Subject: x\r\n\r\nwhole\r\n.", b"Subject: x\r\n\r\nwhole\r\n.\r"):
        client = Client()
        for line in ("MAIL FROM:<a@from.example>", "RCPT TO:<b@to.example>", "DATA"):
            client.say(line)
        client.raw(content)
        time.sleep(0.1)
        vanish(client)
    time.sleep(0.5)
    assert not sink.messages and mta.count()["messages"] == 0
    client = Client()
    for line in ("MAIL FROM:<a@from.example>", "RCPT TO:<b@to.example>", "DATA"):
        client.say(line)
    client.raw(b"Subject: x\r\n\r\nwhole\r\n.\r\n")
    time.sleep(0.05)
    vanish(client)
    sink.wait(1)
    mta.wait_empty()
    time.sleep(0.5)
    assert len(sink.messages) == 1


def test_many_aborted_transactions(world):
    """Nothing is durable before a commit: aborted ones leave nothing behind, large ones either."""
    Sink()
    mta = world.mtad()
    big = mail.message(1, 200000).encode()
    for n in range(30):
        client = Client()
        for line in ("MAIL FROM:<a@from.example>", "RCPT TO:<b@to.example>", "DATA"):
            client.say(line)
        client.raw(big)
        client.close()
    client = Client()
    for n in range(200):
        client.raw(b"MAIL FROM:<a@from.example>\r\nRCPT TO:<b@to.example>\r\nRSET\r\n")
        assert [client.reply()[0] for _ in range(3)] in ([250, 250, 250], [250, 250, 421]) or n > 90
    wait_for("no body is left", lambda: not [p for p in mta.queue.rglob("*") if p.is_file() and p.parent.name == "body"], 20)
    assert mta.count()["messages"] == 0


def test_connection_limits(world):
    """Connections by client are bounded for strangers, and not for the trusted."""
    Sink()
    world.mtad(listen="listen main { address 127.0.0.1:25; trust 127.0.0.1/32 }", extra="limits { connections-per-client 5; connections-per-prefix 8; connections 40 }")
    strangers = [Client(source="127.0.0.50", greet=None) for _ in range(7)]
    assert [c.banner[0] for c in strangers] == [220] * 5 + [421] * 2, [c.banner for c in strangers]
    for c in strangers[5:]:
        c.close()
    time.sleep(0.3)
    others = [Client(source=f"127.0.0.{60 + n}", greet=None) for n in range(5)]
    assert [c.banner[0] for c in others] == [220] * 3 + [421] * 2, [c.banner for c in others]
    trusted = [Client(source="127.0.0.1", greet=None) for _ in range(12)]
    assert all(c.banner[0] == 220 for c in trusted)
    for c in strangers[:5]:
        c.close()
    wait_for("places are free again", lambda: Client(source="127.0.0.50", greet=None).banner[0] == 220, 5, 0.1)
    more = [Client(source="127.0.0.1", greet=None) for _ in range(40)]
    assert more[-1].banner[0] == 220
    assert Client(source="127.0.9.1", greet=None).banner[0] == 421, "connections in all are bounded"


OPEN_RELAY = ["user@elsewhere.example", "user%elsewhere.example@mine.example", "elsewhere.example!user@mine.example", '"user@elsewhere.example"@mine.example',
              "@mine.example:user@elsewhere.example", "user%elsewhere.example@[127.0.0.1]", "user@[127.0.0.1]", '"user%elsewhere.example"', "user@elsewhere.example@mine.example",
              "user@mx.test.example", "user@localhost"]


def test_no_open_relay(world):
    """A stranger's recipient is taken only when its first route names its domain; in none of the classical forms otherwise."""
    sink = Sink()
    mta = world.mtad(listen="listen main { address 127.0.0.1:25 }", routes="route mine { match rcpt-domain mine.example; relay smtp://127.0.0.2:25 }\n"
                     "route friend { match sender friend@from.example; relay smtp://127.0.0.2:25 }\nroute near { match client 127.0.0.0/8; relay smtp://127.0.0.2:25 }\n"
                     "route out { match any; relay smtp://127.0.0.2:25 }")
    taken = []
    for sender in ("a@from.example", "friend@from.example", "user@mine.example", ""):
        for rcpt in OPEN_RELAY:
            client = Client()
            client.say(f"MAIL FROM:<{sender}>")
            code, text = client.say(f"RCPT TO:<{rcpt}>")
            if code == 250:
                taken.append((sender, rcpt))
    assert not taken, taken
    assert Client().send("a@from.example", "user@mine.example", MESSAGE)[0] == 250
    assert Client().send("a@from.example", "user@MINE.Example", MESSAGE)[0] == 250
    sink.wait(2)
    mta.wait_log("554 5.7.1 <user@elsewhere.example>: Relay access denied; from=<a@from.example> to=<user@elsewhere.example> proto=ESMTP helo=<client.example>")


def test_talks_before_the_banner(world):
    """Commands sent before the greeting are not executed as if they were in order, or are answered in order; nothing is queued by them alone."""
    Sink()
    mta = world.mtad()
    raw = socket.create_connection(("127.0.0.1", 25))
    raw.sendall(b"EHLO x.example\r\nNOOP\r\nQUIT\r\n")
    raw.settimeout(10)
    text = b""
    while True:
        got = raw.recv(65536)
        if not got:
            break
        text += got
    assert text.startswith((b"220 ", b"554 ")), text
    assert mta.count()["messages"] == 0


def test_peer_that_never_reads(world):
    """Replies that nobody reads do not grow without end, and hold nobody up."""
    sink = Sink()
    mta = world.mtad(extra="timeouts { server-command 3s }\nlimits { junk-commands 100000; errors 100000 }")
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", 25))
    deaf.settimeout(1)
    try:
        for _ in range(3000):
            deaf.sendall(b"HELP\r\n" * 500)
    except (TimeoutError, OSError):
        pass
    assert Client().send("a@from.example", "b@to.example", MESSAGE)[0] == 250
    sink.wait(1)
    assert sum(r["restarts"] for r in mta.roles()) == 0


def test_received_field(world):
    sink = Sink()
    world.mtad(listen="listen main { address 127.0.0.1:25 [::1]:25; trust 127.0.0.0/8 ::1/128 }")
    code, text = Client(greet="some.client.example").send("a@from.example", "b@to.example", MESSAGE)
    number = text.split("queued as ")[1].strip()
    assert code == 250 and len(number) == 16 and number.isalnum(), text
    field = sink.wait(1)[0].header("Received")[0]
    for part in ("from some.client.example (", "[127.0.0.1])", "by mx.test.example", "with ESMTP", f"id {number}", "for <b@to.example>", "; "):
        assert part in field, (part, field)
    Client(("::1", 25)).send("a@from.example", ["b@to.example", "c@to.example"], MESSAGE)
    field = sink.wait(2)[1].header("Received")[0]
    assert "[IPv6:::1]" in field and "for <" not in field, field


def test_content_without_header_stays_content(world):
    sink = world.add(smtp.Sink())
    world.mtad()
    client = smtp.Client()
    for first in ["hello", " folded", "\tfolded", "no colon here", ": no name"]:
        code, text = client.send("a@from.example", "b@to.example", f"{first}\nsecond\n")
        assert code == 250, text
        content = sink.wait(1)[0].content
        head, body = content.split(b"\r\n\r\n", 1)
        assert head.startswith(b"Received: ") and first.encode() not in head, content
        assert body == first.encode() + b"\r\nsecond\r\n", content
        sink.messages.clear()


@limit(60)
def test_slow_and_large_sessions_beside_quick_ones(world):
    """Clients that hold large content half sent take nothing from others."""
    sink = Sink()
    world.mtad()
    slow = []
    for n in range(20):
        client = Client()
        for line in ("MAIL FROM:<a@from.example>", "RCPT TO:<b@to.example>", "DATA"):
            client.say(line)
        client.raw(mail.message(f"slow-{n}", 300000).encode())
        slow.append(client)
    began = time.monotonic()
    client = Client()
    for n in range(50):
        assert client.send("a@from.example", "b@to.example", mail.message(n))[0] == 250
    assert time.monotonic() - began < 10
    for client in slow:
        client.raw(b".\r\n")
        assert client.reply()[0] == 250
    sink.wait(70)


def test_mail_in_the_middle_of_a_stop(world):
    """SIGTERM finishes the transaction in hand."""
    sink = smtp.Sink()
    mta = world.mtad()
    client = Client()
    for line in ("MAIL FROM:<a@from.example>", "RCPT TO:<b@to.example>", "DATA"):
        client.say(line)
    client.raw(b"Subject: last\r\n\r\nlast")
    stopping = threading.Thread(target=mta.stop, daemon=True)
    stopping.start()
    time.sleep(0.5)
    client.raw(b"\r\n.\r\n")
    code, text = client.reply()
    assert code == 250, text
    stopping.join(35)
    assert not stopping.is_alive(), "still running after SIGTERM"
    mta.start()
    sink.wait(1)
