"""Remote servers of which one kills: many destinations behind one listener, told apart by the address that was connected to, and a round of theirs."""
import re
import threading

from . import mail, smtp

STEPS = ["banner", "EHLO", "MAIL", "RCPT", "DATA", "DOT"]
PLAIN = {"banner": b"220 sink.example ", "EHLO": b"250 sink.example ", "MAIL": b"250 2.1.0 Ok ", "RCPT": b"250 2.1.5 Ok ", "DATA": b"354 Go ", "DOT": b"250 2.0.0 Ok "}
PORT = 2600


def address(number):
    return f"127.0.1.{number}"


def routes(count, more=""):
    """One destination for each number 1..count."""
    return "\n".join(f"route r{n} {{ match rcpt-domain d{n}.test; relay smtp://{address(n)}:{PORT}; {more} }}" for n in range(1, count + 1))


class Harbour:
    """Servers 1..count. In a round each innocent stops at a step of its own until all have, then the killer says its word."""

    def __init__(self, count, answers=None):
        self.count, self.round = count, None
        self.sink = smtp.Sink(("0.0.0.0", PORT), answers={step: self.answerer(step) for step in STEPS})

    def answerer(self, step):
        def answer(session, line):
            round = self.round
            number = int(session.connection.getsockname()[0].split(".")[-1])
            return round.answer(number, step) if round else None
        return answer

    def arrived(self):
        """{id: how often} of what the servers have said 250 to."""
        seen = {}
        for m in list(self.sink.messages):
            seen[mail.id_of(m.content)] = seen.get(mail.id_of(m.content), 0) + 1
        return seen


class Round:
    def __init__(self, count, killer, step, form, kills=1, park=("EHLO", "MAIL", "RCPT", "DATA", "DOT")):
        self.count, self.killer, self.step, self.form, self.kills_left, self.park = count, killer, step, form, kills, park
        self.parked, self.fired, self.lock = set(), threading.Event(), threading.Lock()

    def word(self):
        return PLAIN[self.step] + f"planted-reply-{self.form}\r\n".encode()

    def answer(self, number, step):
        if number == self.killer:
            with self.lock:
                if step != self.step or self.kills_left == 0:
                    return None
                self.kills_left -= 1
            self.wait_for_all()
            self.fired.set()
            return self.word()
        if not self.fired.is_set() and step == self.park[number % len(self.park)]:
            with self.lock:
                self.parked.add(number)
            self.fired.wait(20)
            self.fired.wait(0.2)
        return None

    def wait_for_all(self, seconds=15):
        end = threading.Event()
        for _ in range(int(seconds * 50)):
            if self.fired.is_set() or len(self.parked) == self.count - 1:
                break
            end.wait(0.02)
        end.wait(0.1)  # what the last ones were told is on its way


def duplicates_logged(log):
    """Queue ids of messages that the log calls maybe_duplicate."""
    return set(re.findall(r"mta/\w+\[\d+\]: ([0-9A-F]{16}): to=<[^>]*>.*maybe_duplicate", log))
