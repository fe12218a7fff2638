"""Submission: logins under TLS, by a password file and by the real Dovecot; who may send as whom, how much, and how fast one may guess."""
import base64
import hashlib
import hmac
import os
import pathlib
import re
import signal
import subprocess
import time

from harness import tls
from harness.core import BUILD, Skip, limit, wait_for
from harness.smtp import Sink
from test_tls import Secured

PASSWORD = "p:a=s,s wörd"
ROUTES = "route in { match rcpt-domain here.example; relay smtp://127.0.0.2:25 }\nroute out { match authenticated or local; relay smtp://127.0.0.2:25 }"


class Stage:
    def __init__(self, world, auth="auth people { file @DIR@/users }", more="", listen="", users=True, start=True, **parts):
        self.world, self.sink, self.ca = world, Sink(), tls.Authority(world.folder / "ca")
        blocks = tls.block("default", self.ca.issue("ec", ["mx.test.example"]))
        parts.setdefault("routes", ROUTES)
        listen = (f"{blocks}{auth}\n{more}\nlisten mx {{ address 127.0.0.1:25; tls starttls }}\n"
                  f"listen submission {{ address 127.0.0.1:587; tls starttls-required; auth people; {listen} }}\n"
                  f"listen submissions {{ address 127.0.0.1:465; tls implicit; auth people; {listen} }}")
        self.mta = world.mtad(listen=listen, start=False, **parts)
        if users:
            self.user("add", "ann@here.example", password=PASSWORD)
            self.user("add", "bob", password="secret")
        if start:
            self.mta.start()

    def user(self, verb, *names, password="", code=0, options=()):
        done = subprocess.run([str(BUILD / "tools/mtactl"), "-c", str(self.mta.config_path), *options, "user", verb, *names], input=f"{password}\n".encode(),
                              capture_output=True, timeout=30)
        assert done.returncode == code, (verb, names, done)
        return (done.stdout + done.stderr).decode()

    def client(self, implicit=True, port=None):
        return Secured(self.ca, ("127.0.0.1", port or (465 if implicit else 587)), implicit=implicit)

    def plain(self, user, password, client=None):
        client = client or self.client()
        return client, client.say("AUTH PLAIN " + b64(f"\0{user}\0{password}"))


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def scram(client, user, password, break_proof=False):
    """SCRAM-SHA-256 by hand (RFC 5802), so that both sides are not of one maker."""
    nonce = b64(os.urandom(12))
    bare = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
    code, text = client.say("AUTH SCRAM-SHA-256 " + b64("n,," + bare))
    if code != 334:
        return code, text, None
    first = base64.b64decode(text.split()[1]).decode()
    field = dict(part.split("=", 1) for part in first.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(field["s"]), int(field["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    final = f"c={b64('n,,')},r={field['r']}"
    message = f"{bare},{first},{final}".encode()
    signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
    proof = bytes(a ^ b for a, b in zip(key, signature))
    if break_proof:
        proof = bytes(32)
    code, text = client.say(f"{b64(final + ',p=' + b64(proof))}")
    if code != 334:
        return code, text, field["s"]
    server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
    assert base64.b64decode(text.split()[1]).decode() == "v=" + b64(server), "the server cannot prove that it knows the password"
    code, text = client.say("")
    return code, text, field["s"]


def send(client, sender, rcpt="x@away.example", content="Subject: s\r\n\r\nhello\r\n"):
    """(code, text) of the first refusal, or of the whole."""
    for line, good in ((f"MAIL FROM:<{sender}>", 250), (f"RCPT TO:<{rcpt}>", 250), ("DATA", 354)):
        code, text = client.say(line)
        if code != good:
            client.say("RSET")
            return code, text
    return client.say(content + "\r\n.")


def test_mechanisms(world):
    s = Stage(world)
    c = s.client()
    assert "AUTH SCRAM-SHA-256 PLAIN LOGIN" in c.ehlo[1], c.ehlo
    assert send(c, "ann@here.example")[0] == 530
    assert c.say("AUTH PLAIN " + b64(f"\0ann@here.example\0{PASSWORD}"))[0] == 235
    assert "AUTH" not in c.say("EHLO again")[1]
    assert send(c, "ann@here.example")[0] == 250
    c = s.client(implicit=False)
    assert c.say("AUTH LOGIN")[1].endswith("VXNlcm5hbWU6") and c.say(b64("bob"))[0] == 334 and c.say(b64("secret"))[0] == 235
    assert send(c, "whoever@else.example")[0] == 250
    c = s.client()
    code, text, _ = scram(c, "ann@here.example", PASSWORD)
    assert code == 235, text
    assert send(c, "ann@here.example")[0] == 250
    for wrong in (("bob", "Secret"), ("Bob", "secret"), ("nobody", "secret")):
        assert s.plain(*wrong)[1][0] == 535, wrong
    code, text, _ = scram(s.client(), "bob", "secret", break_proof=True)
    assert code == 535, text
    (first, second, third) = s.sink.wait(3)
    assert "with ESMTPSA" in first.header("Received")[0]
    assert first.header("Date") and first.header("From") == ["<ann@here.example>"] and len(first.header("Message-ID")) == 1, first.content
    log = s.mta.log()
    assert re.search(r"client=localhost\[127.0.0.1\], sasl_method=PLAIN, sasl_username=ann@here.example", log) or "sasl_method=PLAIN, sasl_username=ann@here.example" in log, log[-2000:]
    assert "sasl_method=SCRAM-SHA-256" in log and "SASL PLAIN authentication failed" in log
    assert PASSWORD not in log and b64(f"\0ann@here.example\0{PASSWORD}") not in log
    s.mta.wait_empty()


def test_never_in_the_clear(world):
    s = Stage(world)
    from harness.smtp import Client
    for port in (25, 587):
        c = Client(("127.0.0.1", port))
        assert "AUTH" not in c.ehlo[1], c.ehlo
        assert c.say("AUTH PLAIN " + b64("\0bob\0secret"))[0] in (503, 530, 538)
    c = s.client(implicit=False, port=25)   # TLS, but no submission here
    assert "AUTH" not in c.ehlo[1] and c.say("AUTH PLAIN " + b64("\0bob\0secret"))[0] == 503
    assert send(c, "a@b.example", "x@here.example")[0] == 250 and send(c, "a@b.example", "x@away.example")[0] == 554
    assert len(s.sink.wait(1)[0].header("Date")) == 0, "mail that passes through is left alone"


def test_clients_of_others(world):
    s = Stage(world)
    before = len(s.sink.messages)
    for port, options in ((587, ["-tls"]), (465, ["-tlsc"])):
        for mechanism in ("PLAIN", "LOGIN"):
            done = subprocess.run(["swaks", "--server", f"127.0.0.1:{port}", *options, "--auth", mechanism, "--auth-user", "bob", "--auth-password", "secret",
                                   "--from", "bob@here.example", "--to", "x@away.example"], capture_output=True, text=True, timeout=30)
            assert done.returncode == 0 and "235 2.7.0" in done.stdout, done.stdout + done.stderr
    done = subprocess.run(["swaks", "--server", "127.0.0.1:465", "-tlsc", "--auth", "PLAIN", "--auth-user", "bob", "--auth-password", "wrong", "--from", "a@b.example", "--to", "x@away.example"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 28 and "535 5.7.8" in done.stdout, done
    (world.folder / "mail").write_bytes(b"Subject: curl\r\n\r\nhi\r\n")
    for url, mechanism in (("smtp://mx.test.example:587", "PLAIN"), ("smtps://mx.test.example:465", "LOGIN"), ("smtps://mx.test.example:465", "SCRAM-SHA-256")):
        argv = ["curl", "-sS", "--ssl-reqd", "--cacert", str(s.ca.cert), "--resolve", f"mx.test.example:{url.rsplit(':')[-1]}:127.0.0.1", url, "--user", f"ann@here.example:{PASSWORD}",
                "--login-options", f"AUTH={mechanism}", "--mail-from", "ann@here.example", "--mail-rcpt", "x@away.example", "-T", str(world.folder / "mail")]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
        if mechanism.startswith("SCRAM") and done.returncode and "SCRAM" not in subprocess.run(["curl", "-V"], capture_output=True, text=True).stdout and "gsasl" not in done.stderr:
            continue  # this curl was built without it
        assert done.returncode == 0, (argv, done.stderr)
    text = f"EHLO me\r\nAUTH PLAIN {b64(chr(0) + 'bob' + chr(0) + 'secret')}\r\nQUIT\r\n"
    done = subprocess.run(["openssl", "s_client", "-quiet", "-connect", "127.0.0.1:465"], input=text.encode(), capture_output=True, timeout=30)
    assert b"235 2.7.0" in done.stdout, done
    assert len(s.sink.wait(before + 6, 10)) >= before + 6


def test_users_by_mtactl(world):
    s = Stage(world, users=False)
    assert s.plain("bob", "secret")[1][0] == 535
    s.user("add", "bob", password="secret")
    wait_for("the new login is known", lambda: s.plain("bob", "secret")[1][0] == 235)
    assert "there is such a login" in s.user("add", "bob", password="x", code=1)
    s.user("passwd", "bob", password="other")
    wait_for("the new password is known", lambda: s.plain("bob", "other")[1][0] == 235, 30)
    assert scram(s.client(), "bob", "other")[0] == 235
    s.user("add", "ann@here.example", password=PASSWORD)
    assert s.user("list") == "ann@here.example\nbob\n"
    assert '"name":"bob","password":true,"scram_sha_256":true' in s.user("list", options=["--json"]).replace(" ", "")
    s.user("del", "bob")
    s.user("del", "bob", code=1)
    s.user("passwd", "nobody", password="x", code=1)
    s.user("add", "a:b", password="x", code=2)
    s.user("add", "empty", password="", code=1)
    text = (s.mta.folder / "users").read_text()
    assert re.fullmatch(r"ann@here\.example:\$y\$[^:]+:SCRAM-SHA-256\$10000:[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]{44}:[A-Za-z0-9+/=]{44}\n", text), text
    assert (s.mta.folder / "users").stat().st_mode & 0o777 == 0o600
    wait_for("the login is gone", lambda: s.plain("bob", "other")[1][0] == 535, 30)
    (s.mta.folder / "users").write_text("this is no password file\n")   # kept whole or not at all
    s.mta.wait_log("the one before stays in use")
    assert s.plain("ann@here.example", PASSWORD)[1][0] == 235


def test_sender_logins(world):
    (world.folder / "mta").mkdir()
    (world.folder / "mta" / "owners").write_text("# who may send as whom\nann@here.example  ann@here.example\ninfo@here.example ann@here.example, bob\n"
                                                 "@bob.example bob\n<> *\n")
    s = Stage(world, more="table owners { file owners }", listen="sender-logins owners")
    ann, bob = s.plain("ann@here.example", PASSWORD)[0], s.plain("bob", "secret")[0]
    for client, sender, code in [(ann, "ann@here.example", 250), (ann, "Ann@HERE.example", 250), (ann, "info@here.example", 250), (ann, "", 250), (ann, "bob@here.example", 553),
                                 (ann, "x@bob.example", 553), (bob, "ann@here.example", 553), (bob, "info@here.example", 250), (bob, "anything@bob.example", 250),
                                 (bob, "x@sub.bob.example", 553), (bob, "stranger@else.example", 553)]:
        got, text = send(client, sender)
        assert got == code, (sender, got, text)
    assert "Sender address rejected: not one that this login may send as" in s.mta.log()


@limit(120)
def test_guessing(world):
    """Refusals take the same time whoever is asked for; guessers wait, and are sent away; others are not hindered."""
    s = Stage(world)
    took = {}
    for user in ("bob", "nobody"):
        began = time.monotonic()
        assert s.plain(user, "wrong")[1][0] == 535
        took[user] = time.monotonic() - began
    assert all(1.0 <= t < 2.0 for t in took.values()), took
    salts = {scram(s.client(), "nobody", "x")[2], scram(s.client(), "nobody", "x")[2]}
    assert len(salts) == 1 and None not in salts, "the salt of a user that does not exist must not change"
    began, codes = time.monotonic(), []
    while time.monotonic() - began < 60 and 421 not in codes:
        c, (code, text) = s.plain("bob", "wrong")
        codes.append(code)
    assert 421 in codes, codes
    assert time.monotonic() - began > 10, (codes, "guesses were not slowed down")
    assert set(codes) <= {535, 421}, codes
    assert "too many failures before" in s.mta.log()
    assert s.mta.roles() and all(r["restarts"] == 0 for r in s.mta.roles())


def test_limits_of_a_login(world):
    s = Stage(world, extra="limits { login-messages 3; login-recipients 5 }")
    c = s.plain("bob", "secret")[0]
    for n in range(3):
        assert send(c, "bob@here.example")[0] == 250
    code, text = send(c, "bob@here.example")
    assert code == 450 and "3 messages of this hour; try again in" in text, text
    other = s.plain("ann@here.example", PASSWORD)[0]
    assert send(other, "a@here.example")[0] == 250, "limits are by login"
    assert other.say("MAIL FROM:<a@b.example>")[0] == 250
    codes = [other.say(f"RCPT TO:<r{n}@away.example>") for n in range(6)]
    assert [code for code, _ in codes] == [250] * 4 + [450] * 2 and "5 recipients of this hour" in codes[-1][1], codes
    log = s.mta.log()
    assert log.count("alert: login <bob> is at its limit within an hour (3 messages)") == 1 and log.count("alert: login <ann@here.example>") == 1, log[-1500:]


def test_limits_of_a_login_and_of_its_client(world):
    """Both are asked about a message or recipient, which waits twice for that, and is counted once by each."""
    s = Stage(world, extra="limits { login-messages 4; login-recipients 100; message-rate-per-client 100; recipient-rate-per-client 6 }")
    c = s.plain("bob", "secret")[0]
    for _ in range(4):
        assert send(c, "bob@here.example")[0] == 250
    code, text = send(c, "bob@here.example")
    assert code == 450 and "4 messages of this hour" in text, text
    other = s.plain("ann@here.example", PASSWORD)[0]
    assert other.say("MAIL FROM:<a@b.example>")[0] == 250
    answers = [other.say(f"RCPT TO:<r{n}@away.example>") for n in range(3)]
    assert [code for code, _ in answers] == [250, 250, 450] and "(recipient-rate-per-client)" in answers[2][1], answers


def test_who_has_logged_in_is_no_stranger_and_explain_knows(world):
    (world.folder / "mta").mkdir()
    (world.folder / "mta" / "owners").write_text("info@here.example bob\n")
    s = Stage(world, more="table owners { file owners }\nrules strict { deny client 127.0.0.0/8; greylist on }\ngreylist { path @DIR@/greylist }",
              listen="sender-logins owners; rules strict")
    c = s.plain("bob", "secret")[0]
    assert send(c, "info@here.example")[0] == 250

    def explain(sender, *more):
        return s.mta.ctl("explain", "x@away.example", "--from", sender, "--client", "127.0.0.1", *more, json_output=False)

    code, text = explain("info@here.example", "--listener", "submission", "--auth", "bob")
    assert code == 0 and "logged in as bob" in text and "not for trusted clients" in text, text
    code, text = explain("ann@here.example", "--listener", "submission", "--auth", "bob")
    assert code == 1 and "not one that this login may send as" in text, text
    code, text = explain("info@here.example", "--listener", "submission")
    assert code == 1 and "Authentication required" in text, text
    code, text = explain("info@here.example", "--listener", "mx")
    assert code == 1 and "Relay access denied" in text, text
    assert explain("info@here.example", "--auth", "b" * 300)[0] == 2


def test_authd_dies(world):
    """Who is logged in goes on; who is logging in is told to come again; the next one knows the same file."""
    s = Stage(world)
    c = s.plain("bob", "secret")[0]
    half = s.client()
    assert half.say("AUTH LOGIN")[0] == 334
    os.kill(s.mta.pid_of("authd"), 9)
    s.mta.wait_log("password file", count=2)
    assert half.say(b64("bob"))[0] == 454
    assert send(c, "bob@here.example")[0] == 250
    assert s.plain("bob", "secret")[1][0] == 235


# ---- Dovecot

DOVECOT = """
protocols =
base_dir = {folder}/run
log_path = {folder}/log
auth_verbose = yes
auth_mechanisms = plain login scram-sha-256
default_internal_user = root
default_login_user = root
default_internal_group = root
auth_failure_delay = 1 secs
ssl = no
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/passwd
}}
service auth {{
  unix_listener {folder}/auth-mta {{
    mode = 0600
  }}
  unix_listener auth-login {{
    mode = 0
  }}
  user = root
}}
"""


class Dovecot:
    def __init__(self, world):
        binary = next((p for p in (pathlib.Path("/usr/sbin/dovecot"),) if p.exists()), None)
        if not binary:
            raise Skip("dovecot is not installed")
        self.folder = world.folder / "dovecot"
        (self.folder / "run").mkdir(parents=True)
        (self.folder / "passwd").write_text(f"ann@here.example:{{PLAIN}}{PASSWORD.replace(':', '')}\nbob:{{PLAIN}}secret\n")
        (self.folder / "conf").write_text(DOVECOT.format(folder=self.folder))
        self.argv = [str(binary), "-F", "-c", str(self.folder / "conf")]
        self.start()
        world.add(self)

    def start(self):
        self.process = subprocess.Popen(self.argv, stdout=open(self.folder / "out", "ab"), stderr=subprocess.STDOUT, start_new_session=True)
        wait_for("Dovecot's socket", lambda: (self.folder / "auth-mta").exists() or self.process.poll() is not None)
        assert self.process.poll() is None, (self.folder / "out").read_text()

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)   # its auth process too, which otherwise goes on with whom it serves
            self.process.wait(10)


def test_dovecot(world):
    d = Dovecot(world)
    s = Stage(world, auth=f"auth people {{ dovecot {d.folder}/auth-mta; mechanisms plain login scram-sha-256 }}", users=False)
    password = PASSWORD.replace(":", "")
    wait_for("Dovecot is there", lambda: s.plain("ann@here.example", password)[1][0] != 454)
    c, answer = s.plain("ann@here.example", password)
    assert answer[0] == 235, (answer, (d.folder / "log").read_text())
    assert send(c, "ann@here.example")[0] == 250
    c = s.client()
    assert c.say("AUTH LOGIN")[0] == 334 and c.say(b64("bob"))[0] == 334 and c.say(b64("secret"))[0] == 235
    code, text, _ = scram(s.client(), "bob", "secret")
    assert code == 235, (text, (d.folder / "log").read_text())
    assert s.plain("bob", "wrong")[1][0] == 535
    c = s.client()
    assert c.say("AUTH LOGIN")[0] == 334 and c.say("*")[0] == 501 and c.say("AUTH PLAIN " + b64("\0bob\0secret"))[0] == 235
    assert "sasl_username=ann@here.example" in s.mta.log()
    assert "rip=127.0.0.1" in (d.folder / "log").read_text() or "127.0.0.1" in (d.folder / "log").read_text()
    d.stop()
    (d.folder / "auth-mta").unlink(missing_ok=True)
    wait_for("without Dovecot nobody can log in now", lambda: s.plain("bob", "secret")[1][0] == 454)
    d.start()
    wait_for("with it again they can", lambda: s.plain("bob", "secret")[1][0] == 235, 30)
