"""Clients behind a proxy: PROXY headers of both versions from HAProxy, swaks and by hand, XCLIENT, and who may not send them."""
import os
import random
import socket
import ssl
import struct
import subprocess
import time

from harness import mail, smtp, tls
from harness.core import ROOT, Skip, wait_for, wait_port

LISTEN = ("listen main { address 127.0.0.1:25; trust 127.0.0.77 ::1; proxy-protocol 127.0.0.8 127.0.0.1 }\n"
          "listen six { address [::1]:25; proxy-protocol ::1 }")
ROUTES = "route here { match rcpt-domain here.example; relay smtp://127.0.0.2:25 }\nroute out { match trusted; relay smtp://127.0.0.2:25 }"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(source, destination=("127.0.0.1", 25), command=0x21, tlvs=b"", port=4321, family=None):
    kind = socket.AF_INET6 if ":" in source else socket.AF_INET
    block = socket.inet_pton(kind, source) + socket.inet_pton(kind, destination[0]) + struct.pack(">HH", port, destination[1]) + tlvs
    return SIGNATURE + bytes([command, family if family is not None else 0x21 if kind == socket.AF_INET6 else 0x11]) + struct.pack(">H", len(block)) + block


class Proxied(smtp.Client):
    """A client whose connection begins with `header`, sent in the given pieces."""

    def __init__(self, header, source="127.0.0.8", greet="client.example", pieces=1, address=("127.0.0.1", 25)):
        self.socket = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.socket.settimeout(20)
        self.socket.bind((source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.connect(address)
        self.buffer = b""
        for n in range(pieces):
            self.raw(header[len(header) * n // pieces:len(header) * (n + 1) // pieces])
            if pieces > 1:
                time.sleep(0.003)
        self.banner = self.reply()
        if greet and self.banner[0] == 220:
            self.ehlo = self.say(f"EHLO {greet}")


def test_proxy_headers_of_both_versions_say_who_the_client_is(world):
    sink = smtp.Sink()
    mta = world.mtad(listen=LISTEN, routes=ROUTES)
    cases = [
        (b"PROXY TCP4 203.0.113.7 127.0.0.1 4321 25\r\n", "203.0.113.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 4321 25\r\n", "2001:db8::7"),
        (v2("203.0.113.8"), "203.0.113.8"),
        (v2("2001:db8::8", ("::1", 25)), "2001:db8::8"),
        (v2("203.0.113.9", tlvs=b"\x04\x00\x03abc" + b"\x20\x00\x05\x01\x00\x00\x00\x00"), "203.0.113.9"),
    ]
    for header, client in cases:
        for pieces in (1, len(header)):
            c = Proxied(header, pieces=pieces)
            assert c.banner[0] == 220, (client, pieces, c.banner)
            assert c.send("a@from.example", "b@here.example", mail.message(client))[0] == 250
            code, text = c.say("MAIL FROM:<a@from.example>")
            assert c.say("RCPT TO:<b@elsewhere.example>")[0] == 554, "who it names is a stranger"
            c.close()
        shown = client if "." in client else f"IPv6:{client}"
        received = sink.wait(1)[-1]
        wait_for("received says who", lambda: any(f"[{shown}]" in m.header("Received")[0] for m in sink.messages), 10)
        mta.wait_log(f"connect from unknown[{client}]", count=2)
        assert received
    assert "connect from unknown[127.0.0.8]" not in mta.log()
    trusted = Proxied(v2("127.0.0.77"))
    assert trusted.send("a@from.example", "b@elsewhere.example", mail.message("trusted"))[0] == 250, "trust is that of the client"
    # LOCAL is the proxy's own connection; UNKNOWN is nobody's.
    assert Proxied(SIGNATURE + b"\x20\x00\x00\x00").banner[0] == 220
    unknown = Proxied(b"PROXY UNKNOWN\r\n", source="127.0.0.1")
    assert unknown.banner[0] == 220
    unknown6 = Proxied(b"PROXY UNKNOWN\r\n", source="::1", address=("::1", 25))
    unknown6.say("MAIL FROM:<a@from.example>")
    assert unknown6.say("RCPT TO:<b@elsewhere.example>")[0] == 554, "nobody is never trusted, though the proxy itself were"
    local6 = Proxied(SIGNATURE + b"\x20\x00\x00\x00", source="::1", address=("::1", 25))
    local6.say("MAIL FROM:<a@from.example>")
    assert local6.say("RCPT TO:<b@elsewhere.example>")[0] == 554, "six trusts nobody"


def test_a_header_from_who_is_not_listed_is_a_command_that_does_not_exist(world):
    mta = world.mtad(listen=LISTEN, routes=ROUTES)
    client = smtp.Client(source="127.0.0.3", greet=None)
    assert client.banner[0] == 220
    assert client.say("PROXY TCP4 127.0.0.77 127.0.0.1 4321 25")[0] == 500
    client.say("EHLO x")
    client.say("MAIL FROM:<a@from.example>")
    assert client.say("RCPT TO:<b@elsewhere.example>")[0] == 554
    assert client.say("XCLIENT ADDR=127.0.0.77")[0] == 500
    early = Proxied(b"PROXY TCP4 127.0.0.77 127.0.0.1 4321 25\r\n", source="127.0.0.3")
    assert early.banner[0] in (554, 220), early.banner
    assert "connect from unknown[127.0.0.77]" not in mta.log()


def test_bad_headers_end_the_connection_without_a_word(world):
    mta = world.mtad(listen=LISTEN, routes=ROUTES)
    random.seed(5)
    good = v2("203.0.113.8", tlvs=b"\x04\x00\x03abc")
    bad = [
        b"EHLO client.example\r\n", b"GET / HTTP/1.1\r\n\r\n", b"PROXY\r\n", b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", b"PROXY TCP4 ::1 ::1 1 2\r\n", b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", b"PROXY TCP4 " + b"1" * 200 + b"\r\n",
        b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12), SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12), SIGNATURE + b"\x21\x12\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\x00\x05" + bytes(5), SIGNATURE + b"\x21\x21\x00\x0c" + bytes(12), SIGNATURE + b"\x21\x11\xff\xff" + bytes(4000),
        SIGNATURE[:-1] + b"X" + b"\x21\x11\x00\x0c" + bytes(12), v2("203.0.113.8", tlvs=b"\x04\x00\x09abc"), v2("203.0.113.8", tlvs=b"\x04\x00"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    ]
    for header in bad:
        c = Proxied(header, greet=None)
        assert c.banner == (0, ""), (header, c.banner)
        c.close()
    mta.wait_log("warning: proxy [127.0.0.8]: what it sends is no PROXY header; closing", count=len(bad))
    # Damaged ones: closed or taken, and never more than one session's affair.
    for _ in range(200):
        octets = bytearray(good)
        for _ in range(random.randrange(1, 4)):
            octets[random.randrange(len(octets))] = random.randrange(256)
        c = socket.create_connection(("127.0.0.1", 25), 10, source_address=("127.0.0.8", 0))
        c.sendall(bytes(octets)[:random.randrange(1, len(octets) + 1)])
        c.close()
    # A proxy that only looks whether we are there leaves no line.
    time.sleep(1)   # lines of the ones above
    before = mta.log().count("127.0.0.8")
    for _ in range(5):
        socket.create_connection(("127.0.0.1", 25), 10, source_address=("127.0.0.8", 0)).close()
    time.sleep(0.5)
    assert mta.log().count("127.0.0.8") == before
    assert Proxied(good).banner[0] == 220
    assert all(r["restarts"] == 0 for r in mta.roles())


def test_a_header_that_does_not_come_is_not_waited_for_long(world):
    mta = world.mtad(listen=LISTEN, routes=ROUTES)
    c = socket.create_connection(("127.0.0.1", 25), 20, source_address=("127.0.0.8", 0))
    c.sendall(b"PROXY TCP4 1.2.3.4")
    began = time.monotonic()
    assert c.recv(100) == b""
    assert 9 < time.monotonic() - began < 13
    mta.wait_log("warning: proxy [127.0.0.8]: no PROXY header in time; closing")


def test_limits_and_early_talk_are_those_of_the_client_behind(world):
    mta = world.mtad(listen=LISTEN + "\nlisten some { address 127.0.0.1:26; allow 203.0.113.0/24; proxy-protocol 127.0.0.8 }", routes=ROUTES,
                     extra="limits { connections-per-client 3; connection-rate-per-client 6 }")
    held = [Proxied(v2("203.0.113.7")) for _ in range(5)]
    assert [c.banner[0] for c in held] == [220] * 3 + [421] * 2, [c.banner for c in held]
    assert Proxied(v2("203.0.113.8")).banner[0] == 220, "the proxy itself is not counted"
    for c in held:
        c.close()
    wait_for("its places are free", lambda: mta.log().count("disconnect from unknown[203.0.113.7]") >= 3, 10)
    banners = []
    for n in range(5):
        c = Proxied(v2("203.0.113.7"))
        banners.append(c.banner)
        c.say("QUIT")
        c.close()
        wait_for("it is gone", lambda: mta.log().count("disconnect from unknown[203.0.113.7]") >= min(n + 4, 6), 10)
    assert [code for code, _ in banners] == [220] * 3 + [421] * 2, banners
    assert all("(connection-rate-per-client)" in text for _, text in banners[3:]), banners
    early = Proxied(v2("203.0.113.20") + b"EHLO x\r\n")
    assert early.banner[0] == 554, early.banner
    assert Proxied(v2("203.0.113.21"), address=("127.0.0.1", 26)).banner[0] == 220
    assert Proxied(v2("198.51.100.1"), address=("127.0.0.1", 26)).banner[0] == 554


class Secured(Proxied):
    """A PROXY header, and TLS from then on: the handshake begins behind it, or in the same piece."""

    def __init__(self, header, ca, joined, port=465):
        self.socket, self.buffer = socket.socket(), b""
        self.socket.settimeout(20)
        self.socket.bind(("127.0.0.8", 0))
        self.socket.connect(("127.0.0.1", port))
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.inside = ssl.create_default_context(cafile=str(ca.cert)).wrap_bio(incoming, outgoing, server_hostname="mx.test.example")
        self.incoming, self.outgoing = incoming, outgoing
        first = header if joined else b""
        if not joined:
            self.socket.sendall(header)
        while True:
            try:
                self.inside.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.socket.sendall(first + outgoing.read())
                first = b""
                got = self.socket.recv(65536)
                if not got:
                    raise EOFError from None
                incoming.write(got)
        self.socket.sendall(outgoing.read())

    def line(self, text=None):
        if text is not None:
            self.inside.write(text.encode() + b"\r\n")
            self.socket.sendall(self.outgoing.read())
        while b"\n" not in self.buffer:
            try:
                self.buffer += self.inside.read(65536)
            except ssl.SSLWantReadError:
                self.incoming.write(self.socket.recv(65536))
        answer, _, self.buffer = self.buffer.partition(b"\n")
        return answer.decode().strip()


def test_tls_from_the_beginning_begins_behind_the_header(world):
    ca = tls.Authority(world.folder / "ca")
    mta = world.mtad(listen=tls.block("default", ca.issue("ec", ["mx.test.example"])) + LISTEN +
                     "\nlisten secure { address 127.0.0.1:465; tls implicit; proxy-protocol 127.0.0.8; trust 127.0.0.77; allow 127.0.0.0/8 203.0.113.0/24; greeting-delay 1s }",
                     routes=ROUTES)
    for joined in (False, True):
        for client, code in (("203.0.113.7", "554"), ("127.0.0.77", "250")):
            c = Secured(v2(client), ca, joined)
            assert c.line().startswith("220 "), (joined, client)
            assert c.line("HELO client.example").startswith("250 ")
            assert c.line("MAIL FROM:<a@from.example>").startswith("250 ")
            answer = c.line("RCPT TO:<b@elsewhere.example>")
            assert answer.startswith(code), (joined, client, answer)
            c.socket.close()
            mta.wait_log(f"Anonymous TLS connection established from unknown[{client}]", count=1 + joined)
        # Whoever is refused hears nothing in the clear; neither does who speaks no TLS.
        for header in (v2("198.51.100.1"), v2("203.0.113.8") + b"EHLO x\r\n"):
            try:
                Secured(header, ca, joined)
                raise AssertionError("it came in")
            except (EOFError, ConnectionError, ssl.SSLError):
                pass
    assert all(r["restarts"] == 0 for r in mta.roles())


def swaks(*arguments, port=25):
    done = subprocess.run(["swaks", "--server", f"127.0.0.1:{port}", "--from", "a@from.example", "--to", "b@here.example", "--ehlo", "client.example", *arguments],
                          capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout + done.stderr


def test_swaks_as_proxy_and_with_xclient(world):
    sink = smtp.Sink()
    mta = world.mtad(listen=LISTEN.replace("proxy-protocol 127.0.0.8 127.0.0.1", "proxy-protocol 127.0.0.8 127.0.0.1") +
                     "\nlisten x { address 127.0.0.1:27; xclient 127.0.0.1; trust 127.0.0.77 }", routes=ROUTES)
    for version in ("1", "2"):
        code, text = swaks("--proxy-version", version, "--proxy-family", "TCP4" if version == "1" else "AF_INET", "--proxy-protocol", "STREAM", "--proxy-command", "PROXY",
                           "--proxy-source", f"203.0.113.3{version}", "--proxy-source-port", "4000", "--proxy-dest", "127.0.0.1", "--proxy-dest-port", "25")
        assert code == 0, text
        mta.wait_log(f"client=unknown[203.0.113.3{version}]")
    code, text = swaks("--xclient-addr", "203.0.113.40", "--xclient-name", "named.example", "--xclient-helo", "said.example", "--xclient-proto", "ESMTP", port=27)
    assert code == 0 and "XCLIENT NAME ADDR PORT" in text, text
    mta.wait_log("client=named.example[203.0.113.40]")
    assert any("named.example" in m.header("Received")[0] for m in sink.wait(3))
    code, text = swaks("--xclient-addr", "IPv6:2001:db8::40", "--xclient-name", "[UNAVAILABLE]", port=27)
    assert code == 0, text
    mta.wait_log("client=unknown[2001:db8::40]")


def test_xclient_makes_another_client_of_a_session(world):
    sink = smtp.Sink()
    mta = world.mtad(listen="listen main { address 127.0.0.1:25; xclient 127.0.0.1; trust 127.0.0.77; allow 127.0.0.0/8 203.0.113.0/24 }", routes=ROUTES,
                     extra="limits { connections-per-client 3 }")
    c = smtp.Client()
    assert "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT" in c.ehlo[1]
    assert "XCLIENT" not in smtp.Client(source="127.0.0.5").ehlo[1]
    for bad in ("", "ADDR", "ADDR=1.2.3", "ADDR=1.2.3.4 ADDR=1.2.3.4", "FOO=bar", "ADDR=2001:db8::1", "NAME=+0D+0A", "PROTO=LMTP"):
        assert c.say(f"XCLIENT {bad}")[0] == 501, bad
    c.say("MAIL FROM:<a@from.example>")
    assert c.say("XCLIENT ADDR=203.0.113.5")[0] == 503
    c.say("RSET")
    assert c.say("XCLIENT ADDR=127.0.0.77")[0] == 220
    assert c.say("MAIL FROM:<a@from.example>")[0] == 503, "HELO is said anew"
    c.say("EHLO again.example")
    assert c.send("a@from.example", "b@elsewhere.example", mail.message("1"))[0] == 250, "trust of the new address"
    assert c.say("XCLIENT ADDR=203.0.113.5 NAME=one.example HELO=hello.example")[0] == 220
    assert c.send("a@from.example", "b@here.example", mail.message("2"))[0] == 250, "HELO counts as said"
    mta.wait_log("client=one.example[203.0.113.5]")
    assert c.say("XCLIENT ADDR=127.0.0.77")[0] == 220
    c.say("EHLO x")
    assert c.say("XCLIENT ADDR=[UNAVAILABLE]")[0] == 220
    c.say("EHLO x")
    c.say("MAIL FROM:<a@from.example>")
    assert c.say("RCPT TO:<b@elsewhere.example>")[0] == 554, "nobody is trusted"
    refused = smtp.Client()
    code, text = refused.say("XCLIENT ADDR=198.51.100.1")
    assert code == 554 and "(listen allow)" in text and refused.at_end()
    many = [smtp.Client() for _ in range(3)]
    assert [m.say("XCLIENT ADDR=203.0.113.50")[0] for m in many] == [220] * 3
    code, text = smtp.Client().say("XCLIENT ADDR=203.0.113.50")
    assert code == 421 and "(connections-per-client)" in text
    assert len(sink.wait(2)) == 2


def haproxy(world, version):
    root = ROOT / "build-peers/root"
    program = root / "usr/sbin/haproxy"
    if not program.exists():
        raise Skip("no haproxy in build-peers: tests/peers/unpack could not fetch it")
    send = {1: "send-proxy", 2: "send-proxy-v2"}[version]
    config = world.folder / "haproxy.cfg"
    config.write_text(f"""defaults
 mode tcp
 timeout connect 5s
 timeout client 60s
 timeout server 60s
listen smtp
 bind 127.0.0.1:2525
 bind [::1]:2525
 server mta 127.0.0.1:25 {send} source 127.0.0.8 check inter 200
""")
    process = subprocess.Popen([str(program), "-db", "-f", str(config)], env=dict(os.environ, LD_LIBRARY_PATH=str(root / "usr/lib/x86_64-linux-gnu")),
                               stdout=open(world.folder / "haproxy.log", "ab"), stderr=subprocess.STDOUT)

    class Stop:
        def stop(self):
            process.terminate()
            process.wait(10)
    world.add(Stop())
    wait_port("127.0.0.1", 2525, process, lambda: (world.folder / "haproxy.log").read_text())
    return Stop()


def test_haproxy_in_front(world):
    sink = smtp.Sink()
    mta = world.mtad(listen=LISTEN, routes=ROUTES)
    for number, version in enumerate((1, 2)):
        front = haproxy(world, version)
        c = smtp.Client(("127.0.0.1", 2525), source="127.0.0.33")
        assert c.send("a@from.example", "b@here.example", mail.message(f"four-{version}"))[0] == 250
        six = smtp.Client(("::1", 2525))
        assert six.send("a@from.example", "b@elsewhere.example", mail.message(f"six-{version}"))[0] == 250, "::1 is trusted by the listener that it came to"
        mta.wait_log("client=unknown[127.0.0.33]", count=number + 1)
        mta.wait_log("[::1]\n", count=number + 1)
        time.sleep(1)   # some health checks
        assert "[127.0.0.8]" not in mta.log(), "health checks leave no lines"
        front.stop()
    sink.wait(4)
    assert "no PROXY header" not in mta.log()
