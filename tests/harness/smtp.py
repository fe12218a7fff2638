"""SMTP peers for tests: a sink that follows a script, and a plain client. Both work on octets and trust nothing of Bulkhead's."""
import collections
import re
import socket
import ssl
import threading
import time


class Client:
    """A client that sends what it is told and reads whole replies."""

    def __init__(self, address=("127.0.0.1", 25), timeout=30, source=None, greet="client.example"):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(timeout)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(address)
        self.buffer = b""
        self.banner = self.reply()
        if greet:
            self.ehlo = self.say(f"EHLO {greet}")

    def raw(self, octets):
        self.socket.sendall(octets)

    def reply(self):
        """One whole reply as (code, text); (0, "") when the connection ended."""
        lines = []
        while True:
            while b"\n" not in self.buffer:
                try:
                    got = self.socket.recv(65536)
                except ConnectionError:
                    got = b""
                if not got:
                    return 0, "\n".join(lines)
                self.buffer += got
            line, self.buffer = self.buffer.split(b"\n", 1)
            text = line.rstrip(b"\r").decode(errors="replace")
            lines.append(text)
            if not re.match(r"^\d{3}-", text):
                return (int(text[:3]) if text[:3].isdigit() else -1), "\n".join(lines)

    def say(self, line):
        self.raw(line.encode() + b"\r\n" if isinstance(line, str) else line + b"\r\n")
        return self.reply()

    def send(self, sender, recipients, content, mail_options="", rcpt_options=""):
        """A whole transaction; returns the final reply, or the first refusal."""
        code, text = self.say(f"MAIL FROM:<{sender}>{mail_options}")
        if code != 250:
            return code, text
        for r in [recipients] if isinstance(recipients, str) else recipients:
            code, text = self.say(f"RCPT TO:<{r}>{rcpt_options}")
            if code != 250:
                return code, text
        code, text = self.say("DATA")
        if code != 354:
            return code, text
        return self.data(content)

    def data(self, content):
        octets = content.encode() if isinstance(content, str) else content
        octets = re.sub(rb"\r?\n", b"\r\n", octets)
        octets = re.sub(rb"(?m)^\.", b"..", octets)
        if not octets.endswith(b"\r\n"):
            octets += b"\r\n"
        self.raw(octets + b".\r\n")
        return self.reply()

    def close(self):
        self.socket.close()

    def at_end(self, seconds=10):
        """Whether the server closed: True when EOF comes."""
        self.socket.settimeout(seconds)
        try:
            while True:
                got = self.socket.recv(65536)
                if not got:
                    return True
                self.buffer += got
        except ConnectionError:
            return True
        except TimeoutError:
            return False


class Message:
    def __init__(self, helo, sender, recipients, content, peer):
        self.helo, self.sender, self.recipients, self.content, self.peer = helo, sender, recipients, content, peer
        self.mail_line = self.rcpt_lines = None

    def header(self, name):
        """Values of a header field, unfolded."""
        head = self.content.split(b"\r\n\r\n", 1)[0].decode(errors="replace")
        head = re.sub(r"\r\n[ \t]", " ", head)
        return [line.split(":", 1)[1].strip() for line in head.split("\r\n") if line.lower().startswith(name.lower() + ":")]


class Sink:
    """A server that takes mail. `answers` maps a step ("banner", "EHLO", "MAIL", "RCPT", "DATA", "DOT", "QUIT", ...) to octets to send instead of the usual
    reply, or to a function(session, line) that returns octets, None (usual reply) or False (close now)."""

    def __init__(self, address=("127.0.0.2", 25), answers=None, extensions=("PIPELINING", "8BITMIME", "SIZE 52428800", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8"),
                 keep_content=True, tls=None, tls_first=False):
        self.tls, self.tls_first = tls, tls_first   # an ssl.SSLContext: STARTTLS is offered, or TLS comes first
        self.secured, self.resumed = 0, 0           # handshakes that went well; of these, resumed sessions
        self.keep_content, self.ids = keep_content, collections.Counter()   # without: only the ids of tests/harness/mail.py are counted
        self.address, self.answers, self.extensions = address, answers or {}, extensions
        self.messages, self.sessions, self.lines = [], 0, []
        self.offered = None   # the last content that came, for an answer to the final dot
        self.lock = threading.Lock()
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(address)
        self.listener.listen(512)
        self.running = True
        threading.Thread(target=self.accept, daemon=True).start()

    def stop(self):
        self.running = False
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which would hold the address
        except OSError:
            pass
        self.listener.close()

    def accept(self):
        while self.running:
            try:
                connection, peer = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.sessions += 1
            threading.Thread(target=self.guarded, args=(connection, peer), daemon=True).start()

    def guarded(self, connection, peer):
        session = Session(self, connection, peer)
        try:
            session.run()
        except (OSError, EOFError):
            pass  # an error of TLS is an OSError too
        finally:
            session.connection.close()
            connection.close()

    def wait(self, count, seconds=30):
        end = time.monotonic() + seconds
        while len(self.messages) < count:
            if time.monotonic() > end:
                raise AssertionError(f"the sink has {len(self.messages)} messages, not {count}, after {seconds} s")
            time.sleep(0.01)
        return self.messages


class Session:
    def __init__(self, sink, connection, peer):
        self.sink, self.connection, self.peer = sink, connection, peer
        self.buffer, self.helo, self.number = b"", "", sink.sessions
        self.count = 0
        self.reset()

    def reset(self):
        self.sender, self.recipients, self.mail_line, self.rcpt_lines = None, [], None, []

    def line(self):
        while b"\n" not in self.buffer:
            got = self.connection.recv(65536)
            if not got:
                raise EOFError
            self.buffer += got
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode(errors="surrogateescape")

    def content(self):
        while b"\r\n.\r\n" not in b"\r\n" + self.buffer:
            got = self.connection.recv(1 << 20)
            if not got:
                raise EOFError
            self.buffer += got
        content, self.buffer = (b"\r\n" + self.buffer).split(b"\r\n.\r\n", 1)
        return re.sub(rb"(?m)^\.\.", b".", content[2:] + b"\r\n") if content else b""

    def answer(self, step, line, usual):
        special = self.sink.answers.get(step)
        if callable(special):
            special = special(self, line)
        if special is False:
            raise EOFError
        reply = usual if special is None else special.encode() if isinstance(special, str) else special
        if reply:
            self.connection.sendall(reply)
        return reply[:1] in (b"2", b"3")

    def secure(self):
        self.connection = self.sink.tls.wrap_socket(self.connection, server_side=True)
        self.buffer = b""
        with self.sink.lock:
            self.sink.secured += 1
            self.sink.resumed += self.connection.session_reused

    def ehlo(self):
        clear = not isinstance(self.connection, ssl.SSLSocket)
        lines = ["sink.example", *self.sink.extensions, *(["STARTTLS"] if self.sink.tls and clear else [])]
        return "".join(f"250{'-' if i + 1 < len(lines) else ' '}{text}\r\n" for i, text in enumerate(lines)).encode()

    def run(self):
        if self.sink.tls_first:
            self.secure()
        self.answer("banner", "", b"220 sink.example ESMTP\r\n")
        while True:
            line = self.line()
            self.sink.lines.append(line)
            verb = line[:4].upper()
            if verb in ("EHLO", "HELO"):
                self.helo = line[5:]
                self.answer(verb, line, self.ehlo() if verb == "EHLO" else b"250 sink.example\r\n")
            elif verb == "MAIL":
                if self.answer("MAIL", line, b"250 2.1.0 Ok\r\n"):
                    self.sender, self.mail_line = re.match(r"(?i)MAIL FROM:<(.*?)>( |$)", line).group(1), line
            elif verb == "RCPT":
                if self.answer("RCPT", line, b"250 2.1.5 Ok\r\n"):
                    self.recipients.append(re.match(r"(?i)RCPT TO:<(.*?)>( |$)", line).group(1))
                    self.rcpt_lines.append(line)
            elif verb == "DATA":
                if self.answer("DATA", line, b"354 Go\r\n" if self.recipients else b"503 5.5.1 No recipients\r\n"):
                    self.take(self.content())
            elif verb == "RSET":
                self.reset()
                self.answer("RSET", line, b"250 2.0.0 Ok\r\n")
            elif verb == "QUIT":
                self.answer("QUIT", line, b"221 2.0.0 Bye\r\n")
                return
            elif verb == "STAR" and self.sink.tls:
                if self.answer("STARTTLS", line, b"220 2.0.0 Go\r\n"):
                    self.secure()
                    self.reset()
            else:
                self.answer(verb, line, b"250 2.0.0 Ok\r\n")

    def take(self, content):
        message = Message(self.helo, self.sender, self.recipients, content, self.peer)
        message.mail_line, message.rcpt_lines = self.mail_line, self.rcpt_lines
        self.count += 1
        special = self.sink.answers.get("DOT")
        self.sink.offered = message
        if special is None:
            self.note(message)
        if self.answer("DOT", "", b"250 2.0.0 Ok: taken\r\n") and special is not None:
            self.note(message)
        self.reset()

    def note(self, message):
        """It counts as arrived: before a 250 that nothing keeps us from sending, else after it."""
        with self.sink.lock:
            if self.sink.keep_content:
                self.sink.messages.append(message)
            else:
                self.sink.ids[re.search(rb"<id-([\w.-]+)-x@ledger", message.content).group(1).decode()] += 1
