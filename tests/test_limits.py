"""Who may connect, and how fast: limits by client and network, early talkers, clients of other protocols, the greeting delay."""
import socket
import ssl
import subprocess
import time

from harness import mail, smtp
from harness.core import wait_for

STRANGERS = "listen main { address 127.0.0.1:25 }\nlisten inside { address 127.0.0.1:2525; trust 127.0.0.9 }"
HERE = "route here { match rcpt-domain here.example; discard }"


def refused_at_once(source):
    """The banner that a new connection gets."""
    client = smtp.Client(source=source, greet=None)
    client.close()
    return client.banner


def test_a_client_has_so_many_new_connections_a_minute_and_its_network_some_more(world):
    mta = world.mtad(listen=STRANGERS, routes=HERE, extra="limits { connection-rate-per-client 5; connection-rate-per-prefix 8 }")
    codes = [refused_at_once("127.0.0.3") for _ in range(7)]
    assert [c for c, _ in codes] == [220] * 5 + [421] * 2, codes
    assert "(connection-rate-per-client)" in codes[-1][1], codes[-1]
    codes = [refused_at_once("127.0.0.4") for _ in range(5)]
    assert [c for c, _ in codes] == [220] * 3 + [421] * 2, codes
    assert "(connection-rate-per-prefix)" in codes[-1][1], codes[-1]
    assert refused_at_once("127.0.1.4")[0] == 220
    mta.wait_log("warning: Connection rate limit exceeded: 6 from unknown[127.0.0.3] for service main")
    assert mta.log().count("rate limit exceeded") == 2, "one line a minute for each"


def test_trusted_clients_are_not_counted_unless_asked(world):
    limits = "connection-rate-per-client 2; message-rate-per-client 2"
    mta = world.mtad(listen="listen main { address 127.0.0.1:25; trust 127.0.0.9 }", routes=HERE, extra=f"limits {{ {limits} }}")
    for _ in range(6):
        assert smtp.Client(source="127.0.0.9").send("a@from.example", "b@here.example", mail.message("t"))[0] == 250
    mta.stop()
    mta.write_config(listen="listen main { address 127.0.0.1:25; trust 127.0.0.9 }", routes=HERE, extra=f"limits {{ {limits}; count-trusted on }}")
    mta.start()
    codes = [refused_at_once("127.0.0.9")[0] for _ in range(4)]
    assert codes == [220, 220, 421, 421], codes


def test_messages_and_recipients_a_minute_over_all_receivers(world):
    mta = world.mtad(listen=STRANGERS, routes=HERE, extra="limits { message-rate-per-client 4; recipient-rate-per-client 6 }")
    clients = [smtp.Client(source="127.0.0.3") for _ in range(4)]   # they are with different receivers
    codes = []
    for client in clients:
        code, text = client.say("MAIL FROM:<a@from.example>")
        codes.append(code)
        for _ in range(2):
            if code == 250:
                codes.append(client.say("RCPT TO:<b@here.example>")[0])
    assert codes.count(450) == 2, codes       # the last two recipients
    code, text = smtp.Client(source="127.0.0.3").say("MAIL FROM:<a@from.example>")
    assert code == 450 and "4.7.1" in text and "(message-rate-per-client)" in text, text
    assert smtp.Client(source="127.0.0.4").send("a@from.example", "b@here.example", mail.message("other"))[0] == 250
    mta.wait_log("warning: Message delivery request rate limit exceeded: 5 from unknown[127.0.0.3] for service main")
    mta.wait_log("warning: Recipient address rate limit exceeded: 7 from unknown[127.0.0.3]")
    mta.wait_log("NOQUEUE: reject: MAIL from")
    # A pipelined batch waits for each answer, and gets all of them in order.
    client = smtp.Client(source="127.0.0.5")
    client.raw(b"MAIL FROM:<a@from.example>\r\n" + b"RCPT TO:<b@here.example>\r\n" * 8 + b"RSET\r\nNOOP\r\n")
    codes = [client.reply()[0] for _ in range(11)]
    assert codes == [250] * 7 + [450] * 2 + [250] * 2, codes


def test_errors_of_a_client_are_counted_over_its_sessions(world):
    mta = world.mtad(listen=STRANGERS, routes=HERE, extra="limits { error-rate-per-client 10 }")
    for _ in range(3):
        client = smtp.Client(source="127.0.0.3")
        for _ in range(4):
            assert client.say("NONSENSE")[0] == 500
        client.say("QUIT")
        client.close()
    banner = wait_for("the client is over its errors", lambda: (lambda b: b if b[0] == 421 else None)(refused_at_once("127.0.0.3")), 5, 0.1)
    assert "(error-rate-per-client)" in banner[1], banner
    assert refused_at_once("127.0.0.4")[0] == 220
    mta.wait_log("warning: Error rate limit exceeded: 12 from unknown[127.0.0.3]")


def test_a_new_acceptor_counts_from_none_and_questions_to_the_dead_one_let_pass(world):
    mta = world.mtad(listen=STRANGERS, routes=HERE, extra="limits { message-rate-per-client 3 }")
    client = smtp.Client(source="127.0.0.3")
    assert client.say("MAIL FROM:<a@from.example>")[0] == 250
    subprocess.run(["kill", "-KILL", str(mta.pid_of("acceptor"))], check=True)
    wait_for("a new acceptor", lambda: [r for r in mta.roles() if r["role"] == "acceptor"][0]["restarts"] == 1, 20, 0.1)
    for _ in range(6):   # a session of the former one: nobody counts it
        assert client.say("RSET")[0] == 250
        assert client.say("MAIL FROM:<a@from.example>")[0] == 250


def test_only_networks_that_a_listener_allows_connect(world):
    mta = world.mtad(listen="listen main { address 127.0.0.1:25; allow 127.0.0.3 127.0.7.0/24 }", routes=HERE)
    assert refused_at_once("127.0.0.3")[0] == 220
    assert refused_at_once("127.0.7.9")[0] == 220
    code, text = refused_at_once("127.0.0.4")
    assert code == 554 and "(listen allow)" in text, text
    mta.wait_log("NOQUEUE: reject: CONNECT from")


def test_other_protocols_are_told_so_once_and_closed(world):
    mta = world.mtad(listen=STRANGERS, routes=HERE)
    request = b"POST / HTTP/1.1\r\nHost: mx\r\nContent-Length: 60\r\n\r\nHELO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<b@here.example>\r\n"
    for octets, name in ((request, "HTTP"), (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"), (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300), "TLS")):
        client = smtp.Client(greet=None)
        client.raw(octets)
        code, text = client.reply()
        assert code == 500 and f"not {name}" in text, (name, text)
        assert client.at_end()
        client.close()
        early = socket.create_connection(("127.0.0.1", 25), 10)
        early.sendall(octets)
        got = b""
        while True:
            try:
                piece = early.recv(4096)
            except ConnectionError:
                break
            if not piece:
                break
            got += piece
        assert got.count(b"554 ") + got.count(b"500 ") == 1, got   # with or without a banner before it
        early.close()
        mta.wait_log(f"Error: this is SMTP, not {name}", count=2)
    # One octet at a time comes to the same.
    client = smtp.Client(greet=None)
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for octet in b"GET / HTTP/1.1\r\n":
        client.raw(bytes([octet]))
        time.sleep(0.002)
    assert client.reply()[0] == 500
    # Real ones.
    context = ssl._create_unverified_context()
    try:
        context.wrap_socket(socket.create_connection(("127.0.0.1", 25), 10)).close()
        raise AssertionError("a TLS handshake with a clear port succeeded")
    except (ssl.SSLError, ConnectionError, OSError):
        pass
    done = subprocess.run(["curl", "-s", "-m", "10", "--http0.9", "http://127.0.0.1:25/"], capture_output=True, text=True)
    assert done.returncode != 0 or "50" in done.stdout or "55" in done.stdout or "220" in done.stdout, done
    assert "5" not in mta.ctl("queue", "count")[0]


def test_greeting_delay_catches_who_cannot_wait(world):
    mta = world.mtad(listen="listen main { address 127.0.0.1:25; trust 127.0.0.9; greeting-delay 1s }", routes=HERE)
    began = time.monotonic()
    assert smtp.Client(source="127.0.0.3", greet=None).banner[0] == 220
    assert 0.9 < time.monotonic() - began < 3
    began = time.monotonic()
    assert smtp.Client(source="127.0.0.9", greet=None).banner[0] == 220
    assert time.monotonic() - began < 0.7, "a trusted client does not wait"
    early = socket.create_connection(("127.0.0.1", 25), 10)
    time.sleep(0.3)
    early.sendall(b"EHLO x\r\nMAIL FROM:<a@b.example>\r\n")
    assert early.recv(4096).startswith(b"554 5.5.1 ")
    mta.wait_log("554 5.5.1 Error: client talks before the greeting")
    early.close()
    gone = socket.create_connection(("127.0.0.1", 25), 10)
    gone.close()
    mta.wait_log("lost connection after CONNECT")
    waiting = socket.create_connection(("127.0.0.1", 25), 10)
    mta.stop()   # who is still watched gets its 421
    assert waiting.recv(4096).startswith((b"421 ", b"")), "no answer"
