"""TLS of clients: versions, certificates, STARTTLS and implicit, tickets, the keys' place; with the clients that people use."""
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

from harness import postfix, tls
from harness.core import Skip, limit, wait_for
from harness.smtp import Client, Sink

LISTEN = ("listen mx {{ address 127.0.0.1:25 [::1]:25; tls starttls; {trust} }}\nlisten submission {{ address 127.0.0.1:587; tls starttls-required default; {trust} }}\n"
          "listen submissions {{ address 127.0.0.1:465; tls implicit default; {trust} }}")


def start(world, more_blocks="", more_listen="", trust="trust local", **parts):
    """A server with an ECDSA and an RSA certificate for mx.test.example, and one for other.example."""
    ca = tls.Authority(world.folder / "ca")
    pairs = [ca.issue("ec", ["mx.test.example"]), ca.issue("rsa", ["mx.test.example"], "rsa"), ca.issue("other", ["other.example", "*.wild.example"])]
    parts.setdefault("routes", "route out { match any; relay smtp://127.0.0.2:25 }")
    server = world.mtad(listen=tls.block("default", *pairs) + more_blocks + LISTEN.format(trust=trust) + "\n" + more_listen, **parts)
    return server, ca, pairs


def context(ca, **settings):
    c = ssl.create_default_context(cafile=str(ca.cert))
    for name, value in settings.items():
        setattr(c, name, value)
    return c


class Secured(Client):
    """A client under TLS: after STARTTLS, or from the beginning."""

    def __init__(self, ca, address=("127.0.0.1", 25), name="mx.test.example", implicit=False, **settings):
        if not implicit:
            super().__init__(address)
            code, text = self.say("STARTTLS")
            assert code == 220, text
            assert self.buffer == b""
            plain = self.socket
        else:
            plain = socket.create_connection(address, 30)
            self.buffer = b""
        self.socket = context(ca, **settings).wrap_socket(plain, server_hostname=name)
        if implicit:
            self.banner = self.reply()
        self.ehlo = self.say("EHLO client.example")


def s_client(*arguments, say=b"QUIT\r\n", port=25, code=0):
    starttls = ["-starttls", "smtp"] if port != 465 else []
    done = subprocess.run(["openssl", "s_client", "-ign_eof", "-connect", f"127.0.0.1:{port}", *starttls, *map(str, arguments)], input=say, capture_output=True, timeout=30)
    text = (done.stdout + done.stderr).decode(errors="replace")
    assert code is None or done.returncode == code, f"openssl s_client {arguments} ended with {done.returncode}: {text}"
    return text


def test_tls_openssl_s_client(world):
    server, ca, _ = start(world)
    verify = ["-CAfile", ca.cert, "-verify_return_error", "-verify_hostname", "mx.test.example"]

    # versions and kinds of keys: ECDSA is served first, RSA to who knows nothing else
    for arguments, version, kind in [([], "TLSv1.3", "ECDSA"), (["-tls1_2"], "TLSv1.2", "ECDSA"), (["-sigalgs", "RSA-PSS+SHA256"], "TLSv1.3", "RSA-PSS"),
                                     (["-tls1_2", "-cipher", "aRSA"], "TLSv1.2", "RSA"), (["-tls1_2", "-sigalgs", "RSA+SHA256"], "TLSv1.2", "RSA")]:
        text = s_client(*verify, *arguments)
        assert f"Protocol  : {version}" in text or f"New, {version}" in text, text
        assert f"Peer signature type: {kind}" in text and "Verify return code: 0 (ok)" in text, text
    assert "TLSv1.2" in server.log() and "TLSv1.3 with cipher" in server.log()

    # what is too old or too weak does not get through
    for arguments in (["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"], ["-tls1", "-cipher", "DEFAULT@SECLEVEL=0"], ["-tls1_2", "-cipher", "kRSA"],
                      ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"]):
        assert "alert" in s_client(*arguments, code=1)
    assert "SSL_accept error from localhost[127.0.0.1]: " in server.log() or "SSL_accept error from unknown[127.0.0.1]: " in server.log()

    # names: the certificate that is for the name asked for, the first one for every other
    for name, subject in [("mx.test.example", "mx.test.example"), ("other.example", "other.example"), ("a.wild.example", "other.example"),
                          ("a.b.wild.example", "mx.test.example"), ("elsewhere.example", "mx.test.example"), ("x" * 200 + ".example", "mx.test.example")]:
        assert f"subject=CN = {subject}" in s_client("-servername", name), name
    assert "subject=CN = mx.test.example" in s_client("-noservername")

    # implicit TLS
    assert "220 mx.test.example ESMTP" in s_client(*verify, "-quiet", port=465)


def test_tls_starttls_required_and_pipelined(world):
    server, ca, _ = start(world)

    # in the clear a required listener takes no mail; under TLS it does
    c = Client(("127.0.0.1", 587))
    assert "STARTTLS" in c.ehlo[1]
    assert c.say("MAIL FROM:<a@from.example>")[0] == 530 and c.say("NOOP")[0] == 250 and c.say("QUIT")[0] == 221
    c = Secured(ca, ("127.0.0.1", 587))
    assert c.ehlo[0] == 250 and "STARTTLS" not in c.ehlo[1]
    assert c.say("STARTTLS")[0] == 503
    Sink()
    assert c.send("a@from.example", "b@to.example", b"Subject: x\r\n\r\nhi\r\n")[0] == 250

    # EHLO has to be said again, and what was said in the clear is forgotten
    c = Client()
    c.say("STARTTLS")
    c.socket = context(ca).wrap_socket(c.socket, server_hostname="mx.test.example")
    assert c.say("MAIL FROM:<a@from.example>")[0] == 503

    # octets behind STARTTLS end the connection, in the same segment and when they come from what waited
    for behind in (b"RSET\r\n", b"\x16\x03\x01", b"N"):
        c = Client()
        c.raw(b"STARTTLS\r\n" + behind)
        assert c.reply()[0] == 554 and c.reply()[0] == 0
    c = Client()
    c.raw(b"MAIL FROM:<a@from.example>\r\nRSET\r\n" + b"NOOP\r\n" * 50 + b"STARTTLS\r\nMAIL FROM:<evil@from.example>\r\n")
    codes = []
    while True:
        code, _ = c.reply()
        if code == 0:
            break
        codes.append(code)
    assert codes[-1] == 554 and 220 not in codes[1:], codes

    # injected between 220 and the handshake: no command of it is ever obeyed
    c = Client()
    c.say("STARTTLS")
    c.raw(b"EHLO evil.example\r\nMAIL FROM:<evil@from.example>\r\n")
    octets = c.socket.recv(65536)
    assert b"250" not in octets, octets
    assert "evil" not in server.log()

    # within a transaction it is refused, and the transaction stands
    c = Client()
    c.say("MAIL FROM:<a@from.example>")
    assert c.say("STARTTLS")[0] == 503 and c.say("RCPT TO:<b@to.example>")[0] == 250
    assert c.say("STARTTLS now")[0] == 501


def test_tls_end_is_end_of_connection(world):
    server, ca, _ = start(world)
    c = Secured(ca)
    plain = c.socket.unwrap()  # close_notify, both ways
    plain.sendall(b"NOOP\r\n")
    plain.settimeout(10)
    try:
        assert plain.recv(100) == b""
    except ConnectionError:
        pass

    # what came with the end is done first: a whole message and QUIT in one flight
    sink = Sink()
    c = Secured(ca)
    c.raw(b"MAIL FROM:<a@from.example>\r\nRCPT TO:<b@to.example>\r\nDATA\r\n")
    assert [c.reply()[0] for _ in range(3)] == [250, 250, 354]
    c.raw(b"Subject: last\r\n\r\nwords\r\n.\r\n")
    assert c.reply()[0] == 250
    c.raw(b"QUIT\r\n")
    assert c.reply()[0] == 221
    assert c.socket.recv(100) == b""  # a clean end: else this raises
    assert sink.wait(1)[0].content.endswith(b"words\r\n")

    # a client that vanishes in its handshake, and one that sends rubbish, cost nobody else anything
    for rubbish in (b"", b"\x16\x03\x01\x40\x00" + b"\xff" * 200, os.urandom(3000), b"GET / HTTP/1.1\r\n\r\n"):
        for port in (465, 25):
            c = socket.create_connection(("127.0.0.1", port), 10)
            if port == 25:
                c.recv(500)
                c.sendall(b"EHLO x\r\nSTARTTLS\r\n")
                time.sleep(0.1)
            c.sendall(rubbish or b"\x16")
            c.close()
    assert Secured(ca, ("127.0.0.1", 465), implicit=True).ehlo[0] == 250
    assert all(r["restarts"] == 0 for r in server.roles()), server.roles()


def test_tls_content_of_every_size(world):
    """Records, flights and chunks have sizes of their own; nothing of a message depends on where they end."""
    sink = Sink()
    _, ca, _ = start(world)
    c = Secured(ca)
    sizes = [1, 100, 4000, 16000, 16384, 16385, 40000, 70000, 300000, 2000000]
    for n, size in enumerate(sizes):
        line = b"%04d " % n + b"x" * 70 + b"\r\n"
        content = b"Subject: size\r\n\r\n" + (line * (size // len(line) + 1))[:size - size % 77 + 77]
        content = content[:content.rindex(b"\r\n") + 2]
        assert c.send("a@from.example", f"b{n}@to.example", content)[0] == 250
        got = [m for m in sink.wait(n + 1) if m.recipients == [f"b{n}@to.example"]][0]
        assert got.content.endswith(content), (size, len(got.content))
        received = got.header("Received")[0]
        assert "with ESMTPS id" in received and re.search(r"\(using TLSv1\.3 with cipher \S+ \(\d+/\d+ bits\)\)", received), received

    # an octet a record, and many commands in one
    for octet in b"NOOP\r\n":
        c.raw(bytes([octet]))
    assert c.reply()[0] == 250
    c.raw(b"RSET\r\n" * 90)
    assert all(c.reply()[0] == 250 for _ in range(90))

    # replies that are not read at once: every one of them comes, in order
    c = Secured(ca)
    for _ in range(20):
        c.raw(b"MAIL FROM:<a@from.example>\r\n" + b"RCPT TO:<b@to.example>\r\n" * 400 + b"RSET\r\n")
    codes = [c.reply()[0] for _ in range(20 * 402)]
    assert set(codes) == {250}


def test_tls_swaks_and_curl(world):
    sink = Sink()
    server, ca, _ = start(world)
    base = ["swaks", "--to", "b@to.example", "--from", "a@from.example", "--tls-verify", "--tls-ca-path", str(ca.cert)]
    for arguments in (["--server", "127.0.0.1:25", "--tls"], ["--server", "127.0.0.1:587", "--tls"], ["--server", "127.0.0.1:465", "--tls-on-connect"],
                      ["--server", "127.0.0.1:25", "--tls", "--tls-protocol", "tlsv1_2", "--pipeline"]):
        done = subprocess.run([*base, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "=== TLS started" in done.stdout, done.stdout + done.stderr
    assert len(sink.wait(4)) == 4

    letter = world.folder / "letter.eml"
    letter.write_bytes(b"Subject: by curl\r\n\r\nhello\r\n")
    for url, more in (("smtp://mx.test.example:25/me", ["--ssl-reqd"]), ("smtp://mx.test.example:587/me", ["--ssl-reqd"]), ("smtps://mx.test.example:465/me", [])):
        done = subprocess.run(["curl", "-sS", "-v", "--max-time", "20", "--resolve", f"mx.test.example:{url.split(':')[2].split('/')[0]}:127.0.0.1", "--cacert",
                               str(ca.cert), url, *more, "--mail-from", "a@from.example", "--mail-rcpt", "b@to.example", "--upload-file", str(letter)],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert len(sink.wait(7)) == 7
    assert server.log().count("TLS connection established from") == 7


def test_tls_posttls_finger(world):
    if not (postfix.PEERS / "usr/sbin/posttls-finger").exists():
        raise Skip("no Postfix was unpacked")
    _, ca, _ = start(world)
    environment = dict(os.environ, LD_LIBRARY_PATH=str(postfix.LIBRARIES))
    folder = world.folder / "finger"
    folder.mkdir()
    (folder / "main.cf").write_text(postfix.MAIN.format(folder=folder, peers=postfix.PEERS, owner=postfix.OWNER, group=postfix.DROP_GROUP)
                                    + "smtp_host_lookup = native\n")
    environment["MAIL_CONFIG"] = str(folder)
    for level, match in (("encrypt", []), ("secure", ["mx.test.example"])):
        done = subprocess.run([str(postfix.PEERS / "usr/sbin/posttls-finger"), "-c", "-l", level, "-F", str(ca.cert), "-L", "summary,certmatch", "[127.0.0.1]:25", *match],
                              capture_output=True, text=True, timeout=60, env=environment)
        text = done.stdout + done.stderr
        assert "TLS connection established to 127.0.0.1[127.0.0.1]:25: TLSv1.3" in text, text
        if level == "secure":
            assert "Verified TLS connection established" in text, text


def test_tls_tickets(world):
    """A session is resumed by whichever receiver takes the client, and never on another listener; off means off."""
    server, ca, _ = start(world, more_listen="listen strict { address 127.0.0.1:2525; tls starttls mute; trust local }\n",
                          more_blocks=tls.block("mute", (world.folder / "ca/ec.pem", world.folder / "ca/ec.key"), more="tickets off; min-version 1.3"))
    kept = world.folder / "session"
    for version in ("-tls1_3", "-tls1_2"):
        s_client(version, "-sess_out", kept, say=b"EHLO x\r\nQUIT\r\n")
        for _ in range(6):  # both receivers get some
            assert "Reused, " in s_client(version, "-sess_in", kept, say=b"EHLO x\r\nQUIT\r\n")
        assert "New, " in s_client(version, "-sess_in", kept, port=465, say=b"EHLO x\r\nQUIT\r\n")
        assert "New, " in s_client(version, "-sess_in", kept, port=587, say=b"EHLO x\r\nQUIT\r\n")
    assert len({line.split("smtpd[")[1].split("]")[0] for line in server.log().splitlines() if ", resumed" in line}) >= 2
    text = s_client("-connect", "127.0.0.1:2525", say=b"EHLO x\r\nQUIT\r\n")
    assert "TLSv1.3" in text and "TLS session ticket" not in text, text
    assert "alert" in s_client("-connect", "127.0.0.1:2525", "-tls1_2", code=1)


def test_tls_key_is_only_in_the_keyholder(world):
    """Every process's memory is read whole, after handshakes with every key: only the keyholder has a key."""
    if os.geteuid() != 0:
        raise Skip("reading memory needs root")
    server, ca, pairs = start(world)
    for arguments in ([], ["-tls1_2"], ["-sigalgs", "RSA-PSS+SHA256"], ["-servername", "other.example"]) * 2:
        s_client(*arguments)
    keys = {pair[1].name: tls.secrets_of(pair[1]) for pair in pairs}
    texts = [line.encode() for pair in pairs for line in pair[1].read_text().splitlines()[2:] if len(line) == 64]
    every = [s for secrets in keys.values() for s in secrets] + texts
    roles = server.roles()
    assert texts and {"master", "keyholder", "receiver"} <= {r["role"] for r in roles}
    for r in roles:
        found = tls.found_in(r["pid"], every)
        assert not found & set(texts), f"{r['role']} has the text of a key: the file was not wiped"
        for name, secrets in keys.items():
            assert bool(found & set(secrets)) == (r["role"] == "keyholder"), f"{r['role']} {'has' if found & set(secrets) else 'lacks'} {name}"


def test_tls_keyholder_dies(world):
    server, ca, _ = start(world)
    c = Secured(ca)
    os.kill(server.pid_of("keyholder"), signal.SIGKILL)
    assert c.say("NOOP")[0] == 250  # sessions go on
    server.wait_log("keyholder (pid")
    wait_for("TLS is there again", lambda: Secured(ca).say("NOOP")[0] == 250 if Client().say("STARTTLS")[0] == 220 else None)

    # one that hangs: TLS cannot begin, mail in the clear goes on, and it is all right again when it goes on
    holder = server.pid_of("keyholder")
    os.kill(holder, signal.SIGSTOP)
    c = Client()
    assert c.say("STARTTLS")[0] == 220
    try:
        context(ca).wrap_socket(c.socket, server_hostname="mx.test.example")
        raise AssertionError("a handshake without a signature")
    except (ssl.SSLError, ConnectionError):
        pass
    assert Client().say("NOOP")[0] == 250
    os.kill(holder, signal.SIGCONT)
    wait_for("TLS is there again", lambda: attempt(ca), 30, 0.5)


def attempt(ca):
    try:
        return Secured(ca).say("NOOP")[0] == 250
    except (ssl.SSLError, ConnectionError, AssertionError):
        return False


def test_tls_wrong_material_is_said(world):
    """What cannot work is said at the start, with its path, and mtad does not run with half of it."""
    ca = tls.Authority(world.folder / "ca")
    ec, rsa = ca.issue("ec", ["mx.test.example"]), ca.issue("rsa", ["mx.test.example"], "rsa")
    empty = world.folder / "empty.pem"
    empty.write_text("")
    locked = world.folder / "locked.key"
    tls.openssl("pkey", "-in", ec[1], "-aes256", "-passout", "pass:x", "-out", locked)
    small = world.folder / "small"
    tls.openssl("req", "-x509", "-newkey", "rsa:1024", "-nodes", "-keyout", f"{small}.key", "-out", f"{small}.pem", "-subj", "/CN=x")
    tls.openssl("req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", f"{small}.ed", "-out", f"{small}.edpem", "-subj", "/CN=x")
    cases = [
        ((ec[0], rsa[1]), 78, "ec.pem: the key is not that of the (first) certificate in its file"),
        ((empty, ec[1]), 78, "empty.pem: there is no certificate in the certificate file"),
        ((ec[0], empty), 78, "ec.pem: there is no private key in the key file, or it has a password"),
        ((ec[0], locked), 78, "ec.pem: there is no private key in the key file, or it has a password"),
        ((ec[0], world.folder / "nowhere"), 1, "nowhere: No such file or directory"),
        ((world.folder / "nowhere", ec[1]), 1, "nowhere: No such file or directory"),
        ((ec[0], world.folder), 1, "it is no file"),
        ((f"{small}.pem", f"{small}.key"), 78, "the RSA key is not of 2048 to 4096 bits"),
        ((f"{small}.edpem", f"{small}.ed"), 78, "the key is neither RSA nor ECDSA"),
    ]
    for number, (pair, code, words) in enumerate(cases):
        m = world.mtad(f"wrong{number}", start=False, listen=tls.block("default", ec, pair) + "listen a { address 127.0.0.1:25; tls starttls }")
        m.start(wait=False)
        assert m.process.wait(20) == code, (words, m.log())
        assert words in m.log(), m.log()

    # one that ends soon is a warning
    soon = ca.issue("soon", ["mx.test.example"], days=3)
    time.sleep(1.1)  # its last day is then no whole one
    os.chmod(soon[1], 0o644)
    m = world.mtad("soon", listen=tls.block("default", soon) + "listen a { address 127.0.0.1:25; tls starttls }")
    m.wait_log("soon.pem expires in 2 days")
    assert "soon.key: everybody on this machine can read it" in m.log()


@limit(400)
def test_tls_testssl(world):
    """testssl.sh finds nothing above `low' in protocols, ciphers and vulnerabilities; that it does not know our authority is left aside."""
    tool = shutil.which("testssl")
    if not tool:
        raise Skip("testssl.sh is not installed")
    _, ca, _ = start(world, trust="trust local", extra="limits { errors 1000; junk-commands 10000; connections-per-client 1000 }")
    report = world.folder / "report.csv"
    done = subprocess.run([tool, "--quiet", "--color", "0", "--warnings", "off", "--add-ca", str(ca.cert), "-t", "smtp", "-p", "-s", "-f", "-U", "--sneaky", "--csvfile", str(report),
                           "127.0.0.1:25"], capture_output=True, text=True, timeout=380, stdin=subprocess.DEVNULL, env=dict(os.environ, HOME=str(world.folder)))
    assert report.exists(), done.stdout + done.stderr
    rows = [line.split('","') for line in report.read_text().splitlines()[1:]]
    bad = [row for row in rows if row[3] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")]
    assert len(rows) > 30 and not bad, bad or done.stdout


def test_tls_reload(world):
    """New certificates and keys by mtactl and by SIGHUP: all or nothing, and nobody is cut off."""
    server, ca, _ = start(world)
    before = Secured(ca)

    def serial():
        return s_client("-showcerts").split("subject=")[0]

    first = serial()
    ca.issue("ec", ["mx.test.example"])  # into the same files
    assert serial() == first  # nothing changes by itself
    code, text = server.ctl("tls", "reload", json_output=False)
    assert code == 0 and "are in use" in text, text
    second = wait_for("the new certificate", lambda: (lambda s: s if s != first else None)(serial()))
    assert before.say("NOOP")[0] == 250 and Secured(ca).say("NOOP")[0] == 250

    # a key that does not fit: nothing is changed, and it is said
    chain, key = world.folder / "ca/ec.pem", world.folder / "ca/ec.key"
    kept = key.read_bytes()
    key.write_bytes((world.folder / "ca/other.key").read_bytes())
    code, text = server.ctl("tls", "reload", json_output=False)
    assert code == 1 and "ec.pem: the key is not that of the (first) certificate" in text, text
    assert serial() == second and Secured(ca).say("NOOP")[0] == 250
    key.unlink()
    assert server.ctl("tls", "reload")[0] == {"reloaded": False}
    assert "No such file or directory" in server.log() and Secured(ca).say("NOOP")[0] == 250
    key.write_bytes(kept)

    # by signal; and receivers that are started later have the new ones too
    ca.issue("ec", ["mx.test.example"])
    count = server.log().count("were read again")
    server.process.send_signal(signal.SIGHUP)
    server.wait_log("were read again", count=count + 1)
    third = wait_for("the next certificate", lambda: (lambda s: s if s not in (first, second) else None)(serial()))
    for r in server.roles():
        if r["role"] == "receiver":
            os.kill(r["pid"], signal.SIGKILL)
    wait_for("receivers are back", lambda: attempt(ca), 30, 0.3)
    assert serial() == third
    assert chain.exists() and all(r["restarts"] == 0 for r in server.roles() if r["role"] in ("keyholder", "acceptor", "control"))


def test_tls_reload_without_tls(world):
    server = world.mtad()
    code, text = server.ctl("tls", "reload", json_output=False)
    assert code == 1 and "no tls block is configured" in text, text


def test_tls_with_epoll(world):
    """The same with the other engine, in both directions."""
    ca = tls.Authority(world.folder / "ca")
    pair = ca.issue("ec", ["mx.test.example"])
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(*map(str, pair))
    sink = Sink(tls=c)
    server = world.mtad(listen=tls.block("default", pair) + LISTEN.format(trust="trust local"), routes="route out { match any; relay smtp://127.0.0.2:25 { tls encrypt } }",
                        extra="sandbox { engine epoll }")
    client = Secured(ca, ("127.0.0.1", 465), implicit=True)
    for n, size in enumerate((10, 20000, 400000)):
        content = b"Subject: epoll\r\n\r\n" + (b"x" * 70 + b"\r\n") * (size // 70 + 1)
        assert client.send("a@from.example", "b@to.example", content)[0] == 250
        assert sink.wait(n + 1)[n].content.endswith(content)
    assert sink.secured >= 1 and server.status()["engine"] == "epoll"


def test_tls_check_names_files_that_cannot_be_read(world):
    m = world.mtad(start=False, listen="tls default { certificate /nowhere/a.pem; key /nowhere/a.key }\nlisten a { address 127.0.0.1:25; tls starttls; trust local }")
    done = subprocess.run([str(m.build / "mta/master/mtad"), "--check", "-c", str(m.config_path)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and "warning: tls `default': cannot read `/nowhere/a.pem': No such file or directory" in done.stderr, done.stderr
