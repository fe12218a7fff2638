"""TLS towards other servers: opportunistic by default, then as the route demands, and never in the clear where it does."""
import re
import ssl
import subprocess

from harness import postfix, tls
from harness.core import wait_for
from harness.smtp import Client, Sink

OUT = "listen main { address 127.0.0.1:25; trust local }"
QUICK = {"queue": "retry 1s; expire 1d"}
HOSTS = "127.0.0.2 mx.far.example\n127.0.0.3 other.far.example\n"


def server_side(chain, key, **settings):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(str(chain), str(key))
    for name, value in settings.items():
        setattr(c, name, value)
    return c


def relay(world, route, ca=None, name="mta", **parts):
    """mtad that sends everything by this action."""
    extra = parts.pop("extra", "") + f"connect {{ allow 127.0.0.0/8; {f'ca-file {ca.cert}' if ca else ''} }}"
    return world.mtad(name, listen=parts.pop("listen", OUT), routes=f"route out {{ match any; {route} }}", extra=extra, **{**QUICK, **parts})


def send(count=1, subject="x", address=("127.0.0.1", 25)):
    c = Client(address)
    for n in range(count):
        code, text = c.send("a@from.example", f"b{n}@to.example", f"Subject: {subject}\r\n\r\nwords\r\n".encode())
        assert code == 250, text
    c.say("QUIT")


def deferred(server, words):
    """The one message waits, and says why."""
    def told():
        rows = server.list()
        return len(rows) == 1 and rows[0]["recipients"][0].get("delay_reason")
    reason = wait_for("a reason", told)
    assert words in reason, reason
    return reason


def test_tls_client_opportunistic(world):
    """By default: TLS where it is offered, whatever the certificate; in the clear where it is not offered, refused, or does not work."""
    ca = tls.Authority(world.folder / "ca")
    chain, key = ca.issue("self", ["somebody.else.example"])
    sink = Sink(tls=server_side(chain, key))
    server = relay(world, "relay smtp://127.0.0.2:25")
    send(3)
    assert len(sink.wait(3)) == 3 and sink.secured >= 1
    line = [text for text in server.log().splitlines() if "TLS connection established to" in text][0]
    assert re.search(r"Untrusted TLS connection established to 127\.0\.0\.2\[127\.0\.0\.2\]:25: TLSv1\.3 with cipher \S+ \(\d+/\d+ bits\)", line), line
    server.wait_empty()
    server.stop()
    sink.stop()

    for number, (answers, context) in enumerate([
            ({}, None),                                                          # not offered
            ({"STARTTLS": b"454 4.7.0 not now\r\n"}, server_side(chain, key)),   # refused
            ({"STARTTLS": b"502 5.5.1 what?\r\n"}, server_side(chain, key)),
            ({}, server_side(chain, key, maximum_version=ssl.TLSVersion.TLSv1_1)),  # too old
            ({"STARTTLS": lambda s, line: b"220 go\r\n250 injected\r\n"}, server_side(chain, key)),
    ]):
        far = Sink(("127.0.0.3", 25), answers=answers, tls=context)
        near = relay(world, "relay smtp://127.0.0.3:25", name=f"mta{number}")
        send()
        assert far.wait(1)[0].content.endswith(b"words\r\n"), number
        assert "TLS connection established" not in near.log()
        near.wait_empty()
        near.stop()
        far.stop()


def test_tls_client_never_in_the_clear_when_demanded(world):
    """encrypt and verify: every way to get the mail in the clear ends with the mail kept, and a reason that names the policy."""
    ca, stranger = tls.Authority(world.folder / "ca"), tls.Authority(world.folder / "stranger", "Stranger")
    good, wrong = ca.issue("good", ["mx.far.example"]), ca.issue("wrong", ["elsewhere.example"])
    foreign, old = stranger.issue("foreign", ["mx.far.example"]), ca.issue("old", ["mx.far.example"], days=0)
    hosts = world.folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n" + HOSTS)
    subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)
    lost = lambda s, line: False
    cases = [
        ("encrypt", {}, None, "TLS is required by tls encrypt, but it was not offered by host mx.far.example[127.0.0.2]"),
        ("encrypt", {"STARTTLS": b"454 4.7.0 not now\r\n"}, good, "but it was refused by host mx.far.example[127.0.0.2]: 4.7.0 not now"),
        ("encrypt", {"EHLO": b"500 what?\r\n"}, good, "but it was not offered"),
        ("encrypt", {"STARTTLS": lambda s, line: b"220 go\r\n250 injected\r\n"}, good, "while performing the TLS handshake"),
        ("encrypt", {"STARTTLS": lost}, good, "lost connection with mx.far.example[127.0.0.2] while performing STARTTLS"),
        ("verify", {}, None, "TLS is required by tls verify, but it was not offered"),
        ("verify", {}, wrong, "the TLS handshake failed with host mx.far.example[127.0.0.2]: hostname mismatch"),
        ("verify", {}, foreign, "the TLS handshake failed with host mx.far.example[127.0.0.2]: "),
        ("verify", {}, old, "certificate has expired"),
    ]
    for number, (level, answers, pair, words) in enumerate(cases):
        sink = Sink(answers=answers, tls=server_side(*pair) if pair else None)
        server = relay(world, f"relay smtp://mx.far.example {{ tls {level} }}", ca, name=f"mta{number}")
        send()
        deferred(server, words)
        server.wait_log("status=deferred", count=2)  # and it stays so
        assert not sink.messages and not any(line.upper().startswith("MAIL") for line in sink.lines), (number, sink.lines)
        server.stop()
        sink.stop()

    # what is right gets through: encrypt with anybody's certificate, verify with the right one, smtps too
    for number, (route, pair, first, words) in enumerate([
            ("relay smtp://mx.far.example { tls encrypt }", foreign, False, "Untrusted"), ("relay smtp://mx.far.example { tls verify }", good, False, "Verified"),
            ("relay smtps://mx.far.example { tls verify }", good, True, "Verified"), ("relay smtps://127.0.0.2:465", foreign, True, "Untrusted")]):
        sink = Sink(("127.0.0.2", 465 if first else 25), tls=server_side(*pair), tls_first=first)
        server = relay(world, route, ca, name=f"right{number}")
        send()
        assert sink.wait(1) and sink.secured == 1
        assert f"{words} TLS connection established to" in server.log()
        server.wait_empty()
        server.stop()
        sink.stop()


def test_tls_client_content_of_every_size(world):
    ca = tls.Authority(world.folder / "ca")
    sink = Sink(tls=server_side(*ca.issue("far", ["far.example"], "rsa")))
    server = relay(world, "relay smtp://127.0.0.2:25 { tls encrypt }")
    c = Client()
    sizes = [1, 100, 4000, 16000, 16384, 16385, 47000, 48128, 49000, 65536, 100000, 1000000, 5000000]
    for n, size in enumerate(sizes):
        line = b"%04d " % n + b".x" * 35 + b"\r\n"
        content = b"Subject: size\r\n\r\n" + line * (size // len(line) + 1)
        assert c.send("a@from.example", f"b{n}@to.example", content)[0] == 250
    for n, size in enumerate(sizes):
        got = wait_for(f"message {n}", lambda: [m for m in sink.messages if m.recipients == [f"b{n}@to.example"]])[0]
        line = b"%04d " % n + b".x" * 35 + b"\r\n"
        assert got.content.endswith(line * (size // len(line) + 1)) and len(got.content) < size + 1500, size
    # hundreds of recipients: a flight of commands larger than what one send may hold under TLS
    many = [f"{'r' * 60}{n}@{'d' * 60}.example" for n in range(500)]
    assert c.send("a@from.example", many, b"Subject: many\r\n\r\nhi\r\n")[0] == 250
    wait_for("all recipients", lambda: {r for m in sink.messages for r in m.recipients} >= set(many))
    server.wait_empty()
    assert all(r["restarts"] == 0 for r in server.roles())


def test_tls_client_resumes(world):
    """The next connection to the same destination makes a short handshake; one under another policy does not."""
    ca = tls.Authority(world.folder / "ca")
    sink = Sink(tls=server_side(*ca.issue("far", ["far.example"])))
    server = relay(world, "relay smtp://127.0.0.2:25; messages-per-connection 1; connections 1")
    for n in range(8):  # two workers: each has to meet the destination once
        send(subject=f"resumed {n}")
        sink.wait(n + 1)
    assert sink.secured == 8 and sink.resumed >= 4, (sink.secured, sink.resumed)
    assert ", resumed" in server.log()


def test_tls_client_hostile_handshakes(world):
    """Whatever a server does in a handshake: the worker lives, the mail is kept or goes in the clear, and it does not take for ever."""
    import os
    ca = tls.Authority(world.folder / "ca")
    good = server_side(*ca.issue("good", ["far.example"]))

    def after(octets, more=False):
        def answer(session, line):
            session.connection.sendall(b"220 go\r\n")
            session.connection.recv(4096)
            for piece in octets:
                session.connection.sendall(piece)
            if more:
                session.connection.recv(4096)
            return False
        return answer

    record = lambda kind, body: bytes([kind, 3, 3]) + len(body).to_bytes(2, "big") + body
    attacks = [
        after([os.urandom(5000)]), after([b"250 ok\r\n" * 100]), after([]), after([record(21, b"\x02\x28")]), after([record(22, b"\x02" + b"\x00\xff\xff" + os.urandom(16000))]),
        after([record(22, b"")] * 2000), after([b"\x16\x03\x03\x40\x00"] + [b"\0" * 16384] * 20), after([record(23, os.urandom(100))]), after([record(22, bytes([2, 0, 0, 1, 0]))]),
        after([bytes([b]) for b in record(22, os.urandom(300))]),
    ]
    for number, attack in enumerate(attacks):
        sink = Sink(("127.0.0.2", 25), answers={"STARTTLS": attack}, tls=good)
        server = relay(world, "relay smtp://127.0.0.2:25", name=f"may{number}") if number % 3 == 0 else relay(
            world, "relay smtp://127.0.0.2:25 { tls encrypt }", name=f"must{number}")
        send()
        if number % 3 == 0:
            assert sink.wait(1)  # opportunistic: in the clear on a new connection
        else:
            server.wait_log("status=deferred")
            assert not sink.messages
        assert all(r["restarts"] == 0 for r in server.roles()), number
        server.stop()
        sink.stop()


def test_tls_client_postfix(world):
    """A real Postfix on both sides: it takes our mail under TLS, and sends its own to us."""
    ca = tls.Authority(world.folder / "ca")
    chain, key = ca.issue("post", ["post.example"])
    ours = ca.issue("ours", ["mx.test.example"])
    peer = postfix.Postfix(world, main=f"smtpd_tls_security_level = encrypt\nsmtpd_tls_chain_files = {key}, {chain}\nsmtpd_tls_loglevel = 1\nsmtp_tls_security_level = secure\n"
                           f"smtp_tls_CAfile = {ca.cert}\nsmtp_tls_secure_cert_match = mx.test.example\nsmtp_tls_loglevel = 1\n", relayhost="[127.0.0.1]:25")
    server = relay(world, "relay smtp://127.0.0.2:25", listen=tls.block("default", ours) + "listen main { address 127.0.0.1:25; tls starttls; trust local }",
                   extra="")
    c = Client()
    for n in range(3):
        assert c.send("a@from.example", f"b{n}@post.example", b"Subject: hello\r\n\r\nwords\r\n")[0] == 250
    assert len(peer.wait_arrived(3)) == 3
    assert "TLS connection established from" in peer.log(), peer.log()
    assert "with ESMTPS" in peer.wait_arrived(3)[0].decode()
    server.wait_empty()
    assert "Untrusted TLS connection established to 127.0.0.2[127.0.0.2]:25" in server.log()
