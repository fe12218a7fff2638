"""Evil servers and evil clients: they play scenarios (scenario.py) on sockets, whole or with their octets one at a time."""
import re
import socket
import struct
import threading
import time

from . import scenario

CALM = 60               # a script never waits longer for its peer
ONE_BY_ONE = 600        # by the octet: of each send so many octets go alone, the rest of a flood in pieces of an odd size
PIECE = 997
OFFERS = ("PIPELINING", "8BITMIME", "SIZE 52428800", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8")


class Over(Exception):
    """The peer is gone, or the script says so."""


class Wrong(AssertionError):
    """The peer did what the script says it must not."""


class Line:
    """A connection that can be told to send its octets one at a time."""

    def __init__(self, connection, by_octet):
        self.socket, self.by_octet, self.buffer, self.ended = connection, by_octet, b"", False
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(CALM)

    def send(self, data):
        try:
            if not self.by_octet:
                self.socket.sendall(data)
                return
            for n in range(min(len(data), ONE_BY_ONE)):
                self.socket.send(data[n:n + 1])
                if n < 64:
                    time.sleep(0.0003)
            for n in range(ONE_BY_ONE, len(data), PIECE):
                self.socket.sendall(data[n:n + PIECE])
        except OSError as error:
            raise Over(f"while sending: {error}") from None

    def fill(self):
        try:
            got = b"" if self.ended else self.socket.recv(65536)
        except ConnectionError:
            got = b""
        except TimeoutError:
            raise Over("the peer says nothing") from None
        if not got:
            self.ended = True
            raise Over("the peer closed")
        self.buffer += got

    def line(self):
        while b"\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode(errors="surrogateescape")

    def content(self):
        self.buffer = b"\r\n" + self.buffer
        while b"\r\n.\r\n" not in self.buffer:
            self.fill()
        content, self.buffer = self.buffer.split(b"\r\n.\r\n", 1)
        return re.sub(rb"(?m)^\.", b"", content[2:] + b"\r\n")

    def drain(self, seconds):
        """Read until the peer closes, and keep only the beginning."""
        self.socket.settimeout(seconds)
        try:
            while got := self.socket.recv(65536):
                if len(self.buffer) < 65536:
                    self.buffer += got
            return True
        except TimeoutError:
            return False
        except OSError:
            return True
        finally:
            self.ended = True

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        raise Over("reset")

    def take_in(self):
        """What has come already: a close with unread octets would be a reset."""
        self.socket.settimeout(0.05)
        try:
            while self.socket.recv(65536):
                pass
        except OSError:
            pass


class Player:
    """Plays the steps that servers and clients share; a step is the method do_VERB."""

    def __init__(self, line, names):
        self.line, self.names = line, names

    def octets(self, text):
        return scenario.octets(text, self.names)

    def play(self, steps):
        at, loops = 0, []
        while at < len(steps):
            step = steps[at]
            if step.verb == "loop":
                loops.append([at, int(step.text)])
            elif step.verb == "end":
                loops[-1][1] -= 1
                if loops[-1][1] > 0:
                    at = loops[-1][0]
                else:
                    loops.pop()
            else:
                try:
                    getattr(self, "do_" + step.verb.replace("-", "_"))(step.text)
                except Wrong as error:
                    raise Wrong(f"{step}: {error}") from None
            at += 1

    def do_say(self, text):
        self.line.send(self.octets(text) + b"\r\n")

    def do_send(self, text):
        self.line.send(self.octets(text))

    def do_flood(self, text):
        """So many times, or until the peer has enough."""
        times, _, text = text.partition(" ")
        data = self.octets(text)
        times = int(times)
        bunch = max(1, 65536 // len(data))
        try:
            if self.line.by_octet:
                self.line.send(data * min(times, bunch))
                times -= min(times, bunch)
            while times > 0:
                self.line.socket.sendall(data * min(times, bunch))
                times -= bunch
        except (Over, OSError):
            pass

    def do_drip(self, text):
        """SECONDS TEXT: an octet, a pause, an octet."""
        seconds, _, text = text.partition(" ")
        for octet in self.octets(text):
            try:
                self.line.socket.send(bytes([octet]))
            except OSError as error:
                raise Over(str(error)) from None
            time.sleep(float(seconds))

    def do_pause(self, text):
        time.sleep(float(text))

    def do_close(self, text):
        self.line.take_in()
        self.line.socket.close()
        raise Over("closed")

    def do_reset(self, text):
        self.line.reset()

    def do_half_close(self, text):
        try:
            self.line.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def do_deaf(self, text):
        """Read nothing for so long, with a window as small as it gets."""
        self.line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        time.sleep(float(text))


    def do_sips(self, text):
        """SECONDS OCTETS: read so little each so often, for ever."""
        seconds, count = text.split()
        self.line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        try:
            while self.line.socket.recv(int(count)):
                time.sleep(float(seconds))
        except OSError:
            pass


class Server(Player):
    """One connection of an evil server. `usual` is what a good server does."""

    def __init__(self, host, line, names):
        super().__init__(line, names)
        self.host, self.greeted, self.data = host, False, False
        self.forget()

    def forget(self):
        self.sender, self.recipients, self.content = None, [], b""

    def do_offers(self, text):
        self.host.offers = tuple(t.strip() for t in text.split(",")) if text else ()

    def do_hear(self, text):
        line = self.note()
        if not line.upper().startswith(text):
            raise Wrong(f"heard {line!r} instead of {text}")

    def do_hear_body(self, text):
        self.content = self.line.content()

    def do_record(self, text):
        self.host.delivered.append((self.sender, tuple(self.recipients), self.content))
        self.forget()

    def note(self):
        line = self.line.line()
        self.host.heard.append(line)
        verb = line[:4].upper()
        if verb == "MAIL":
            self.forget()
            self.sender = line[10:].split(">")[0].lstrip("<")
        elif verb == "RCPT":
            self.recipients.append(line[8:].split(">")[0].lstrip("<"))
        return line

    def do_usual(self, text):
        """[until STEP]: be a good server, up to and with the hearing of STEP, whose answer is left to the script."""
        until = text[6:].upper() if text.startswith("until ") else None
        if not self.greeted and until == "BANNER":
            return
        if not self.greeted:
            self.greeted = True
            self.do_say("220 evil.example ESMTP")
        while True:
            verb = self.note()[:4].upper()
            if verb == until:
                return
            if verb == "EHLO":
                lines = ["evil.example", *self.host.offers]
                self.line.send("".join(f"250{'-' if n + 1 < len(lines) else ' '}{t}\r\n" for n, t in enumerate(lines)).encode())
            elif verb == "DATA":
                self.do_say("354 go on")
                self.do_hear_body("")
                if until == "DOT":
                    return
                self.do_record("")
                self.do_say("250 2.0.0 taken")
            elif verb == "QUIT":
                self.do_say("221 2.0.0 bye")
                raise Over("QUIT")
            else:
                self.do_say("250 2.0.0 ok")

    def do_greeted(self, text):
        """From here on `usual` goes on behind the greeting."""
        self.greeted = True


def close_listener(listener):
    """Also one that a thread waits on: its close alone would leave the port taken."""
    try:
        listener.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    listener.close()


class EvilHost:
    """A listening evil server. Each connection plays its script, then reads to the end."""

    def __init__(self, host, address, names, by_octet, port=25):
        self.scripts, self.address, self.names, self.by_octet = host.scripts, address, names, by_octet
        self.offers = OFFERS
        self.delivered, self.heard, self.wrong, self.sessions = [], [], [], 0
        self.lock = threading.Lock()
        self.running = True
        self.fillers = []
        self.listener = None
        if host.manner == "refuses":
            return
        self.listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(0 if host.manner == "deaf" else 256)
        if host.manner == "deaf":  # its queue is full: SYN is never answered
            for _ in range(4):
                filler = socket.socket(self.listener.family)
                filler.setblocking(False)
                filler.connect_ex((address, port))
                self.fillers.append(filler)
            return
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while self.running:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                number = self.sessions
                self.sessions += 1
            threading.Thread(target=self.serve, args=(connection, number), daemon=True).start()

    def serve(self, connection, number):
        line = Line(connection, self.by_octet)
        try:
            Server(self, line, self.names).play(self.scripts[min(number, len(self.scripts) - 1)])
            line.drain(CALM)
            self.heard += line.buffer.decode(errors="replace").splitlines()
        except (Over, OSError):
            pass
        except Exception as error:
            self.wrong.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    def stop(self):
        self.running = False
        for s in self.fillers:
            s.close()
        if self.listener:
            close_listener(self.listener)


class Client(Player):
    """An evil client."""

    def __init__(self, names, by_octet, source, target, patience=15):
        self.names, self.by_octet, self.source, self.target, self.patience = names, by_octet, source, target, patience
        self.others, self.line = [], None

    def connect(self, window=None):
        s = socket.socket(socket.AF_INET)
        if window:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        s.settimeout(self.patience)
        s.bind((self.source, 0))
        s.connect(self.target)
        line = Line(s, self.by_octet)
        s.settimeout(self.patience)
        return line

    def do_connect(self, text):
        """[window N]: a new connection; the first command of every script, if it does not say so itself."""
        if self.line:
            self.line.socket.close()
        self.line = self.connect(int(text[7:]) if text else None)

    def do_early(self, text):
        """Speak before the banner, until it is noticed: whether the first octets or the banner come first is a race, so there are some tries."""
        for _ in range(30):
            self.do_connect("")
            self.line.socket.sendall(self.octets(text))
            said = self.reply()
            if not said.startswith("220"):
                break
        if not said.startswith("554 5.5.1"):
            raise Wrong(f"who speaks first is told {said!r}")

    def do_greet(self, text):
        self.do_get("220")
        self.do_say("EHLO evil.example")
        self.do_get("250")

    def do_begin(self, text):
        """MAIL and RCPT, both taken."""
        self.do_say("MAIL FROM:<$sender>")
        self.do_get("250")
        self.do_say("RCPT TO:<$rcpt>")
        self.do_get("250")

    def do_data(self, text):
        self.do_begin("")
        self.do_say("DATA")
        self.do_get("354")

    def do_say(self, text):
        self.do_send(text + "\\r\\n")

    def do_send(self, text):
        """A server that has closed already shows itself at the next `get`."""
        try:
            super().do_send(text)
        except Over:
            pass

    def do_drip(self, text):
        try:
            super().do_drip(text)
        except Over:
            pass

    def reply(self):
        lines = []
        while True:
            lines.append(self.line.line())
            if not re.match(r"^\d{3}-", lines[-1]):
                return " / ".join(lines)

    def do_get(self, text):
        """CODE [TEXT]: the next reply has this code, and the text in it."""
        code, _, words = text.partition(" ")
        try:
            said = self.reply()
        except Over as over:
            raise Wrong(f"no reply {code}: {over}") from None
        if not said.startswith(code) or words not in said:
            raise Wrong(f"the reply is {said!r}, not {text!r}")

    def do_gets(self, text):
        """N CODE: so many replies."""
        times, _, text = text.partition(" ")
        for _ in range(int(times)):
            self.do_get(text)

    def do_until(self, text):
        """CODE: replies of any kind, and then this one."""
        for _ in range(200000):
            try:
                said = self.reply()
            except Over as over:
                raise Wrong(f"no {text} before the end: {over}") from None
            if said.startswith(text):
                return
        raise Wrong(f"no {text} in 200,000 replies")

    def do_lacks(self, text):
        """EHLO is answered, and does not offer this."""
        self.do_say("EHLO evil.example")
        said = self.reply()
        if text in said or not said.startswith("250"):
            raise Wrong(f"EHLO is answered {said!r}")

    def do_closed(self, text):
        """Nothing more comes but the end."""
        self.line.socket.settimeout(self.patience)
        try:
            while True:
                self.line.fill()
                if self.line.buffer:
                    raise Wrong(f"more comes: {self.line.buffer[:200]!r}")
        except Over as over:
            if "says nothing" in str(over):
                raise Wrong("it is not closed") from None

    def do_gone(self, text):
        """The end comes, whatever is said before."""
        if not self.line.drain(self.patience):
            raise Wrong("it is not closed")

    def do_crowd(self, text):
        """N: so many more connections that say nothing, their banners noted."""
        self.banners = []
        for _ in range(int(text)):
            try:
                line = self.connect()
                self.others.append(line)
                self.banners.append(line.line()[:3])
            except (Over, OSError):
                self.banners.append("")

    def do_crowded(self, text):
        """N CODE: so many of the crowd's banners have it; without a code: were closed without a word."""
        times, _, code = text.partition(" ")
        if self.banners.count(code) != int(times):
            raise Wrong(f"{self.banners.count(code)} of the banners are {code!r}: {self.banners}")

    def run(self, steps):
        if not steps or steps[0].verb != "connect":
            self.do_connect("")
        try:
            self.play(steps)
        except Over as over:
            if str(over) not in ("closed", "reset"):
                raise Wrong(f"the script could not go on: {over}") from None
        finally:
            for line in [self.line, *self.others]:
                line.socket.close()
