"""Strangers of which one kills. Servers: many destinations behind one listener, told apart by the address that was connected to, and a round of theirs.
Clients: many sessions, each stopped in a phase of its own, one of which says the word. Used by tests/test_containment.py and campaign/culprit.py."""
import re
import socket
import threading
import time

from . import mail, smtp
from .core import wait_for

WAIT_S = 60   # for what comes soon on any machine
STEPS = ["banner", "EHLO", "MAIL", "RCPT", "DATA", "DOT"]
PLAIN = {"banner": b"220 sink.example ", "EHLO": b"250 sink.example ", "MAIL": b"250 2.1.0 Ok ", "RCPT": b"250 2.1.5 Ok ", "DATA": b"354 Go ", "DOT": b"250 2.0.0 Ok "}
STEP_WORDS = {"banner": "initial server greeting", "EHLO": "EHLO command", "MAIL": "MAIL FROM command", "RCPT": "RCPT TO command", "DATA": "DATA command",
              "DOT": "end of DATA command"}
PIPELINED = ["MAIL", "RCPT", "DATA"]   # their answers may be read together: then the word is met where the first of them is looked at
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
        return arrivals(self.sink)


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
            time.sleep(0.1)  # the answers before are read by now, mostly
            self.fired.set()
            return self.word()
        if not self.fired.is_set() and step == self.park[number % len(self.park)]:
            with self.lock:
                self.parked.add(number)
            self.fired.wait(WAIT_S)
            time.sleep(0.2)  # the word is on its way
        return None

    def wait_for_all(self):
        """All but the killer are at their steps. With `killer` 0 it is the test that calls this, and sets `fired`."""
        innocent = self.count - (self.killer > 0)
        wait_for("all sessions wait", lambda: self.fired.is_set() or len(self.parked) == innocent, WAIT_S)


def duplicates_logged(log):
    """Queue ids of messages that the log calls maybe_duplicate."""
    return set(re.findall(r"mta/\w+\[\d+\]: ([0-9A-F]{16}): to=<[^>]*>.*maybe_duplicate", log))


def crashes(mta):
    return mta.ctl("crash", "list")


def new_record(mta, known):
    """The first record of a crash behind number `known`."""
    return wait_for("a record of the crash", lambda: [c for c in crashes(mta) if c["number"] > known], WAIT_S)[0]


def last_number(mta):
    return mta.status()["crashes"]["last"]


def send(number, to, client=None, text=None):
    """A message to be taken; its queue id."""
    own = client or smtp.Client()
    code, reply = own.send("sender@from.example", to, text or mail.message(number))
    assert code == 250, reply
    if not client:
        own.say("QUIT")
        own.close()
    return reply.split()[-1]


def check_once(mta, arrived, sent):
    """sent: {number: queue id}. Each has arrived, and more than once only where the log says so; how many did."""
    excused, more = duplicates_logged(mta.log()), 0
    for number, queue_id in sent.items():
        times = arrived.get(str(number), 0)
        assert times >= 1, f"message {number} ({queue_id}) did not arrive"
        assert times == 1 or queue_id in excused, f"message {number} ({queue_id}) arrived {times} times, and the log does not say that it might"
        more += times - 1
    return more


# ---- deliveries: one round ----

def fill(harbour, first):
    """A message for each server; {number: queue id}."""
    client, sent = smtp.Client(), {}
    for n in range(1, harbour.count + 1):
        sent[first + n] = send(first + n, f"x@d{n}.test", client)
    client.close()
    return sent


def steps_met(step):
    return [STEP_WORDS[s] for s in (PIPELINED[:PIPELINED.index(step) + 1] if step in PIPELINED else [step])]


def delivery_round(mta, harbour, first, killer, step, form):
    """As many sessions in hand as there are servers, one of them deadly; the record that names it, and how many arrived more than once.
    When the box was scribbled over there is a record before that names nobody, and the killer kills again, alone."""
    known, scribbles = last_number(mta), form == "scribble"
    harbour.round = Round(harbour.count, killer, step, form, 2 if scribbles else 1)
    sent = fill(harbour, first)
    assert harbour.round.fired.wait(2 * WAIT_S), f"the killer's turn did not come: {len(harbour.round.parked)} sessions are waiting"
    record = new_record(mta, known)
    if scribbles:
        assert not record["named"] and record["suspects"] > 0, record
        harbour.round.form = form = "abort"
        record = new_record(mta, record["number"])
    assert record["named"] and record["remote_address"] == address(killer), (killer, step, form, record)
    assert record["step"] in steps_met(step) and record["hung"] == (form == "loop"), (killer, step, form, record)
    mta.wait_empty(2 * WAIT_S)
    harbour.round = None
    return record, check_once(mta, harbour.arrived(), sent)


# ---- clients: one round ----

PHASES = ["idle", "EHLO", "MAIL", "RCPT", "DATA", "BDAT"]   # where a killer kills
STOPS = ["banner", "idle", "MAIL", "RCPT", "DATA", "BDAT", "DOT"]  # where others are meanwhile


def guest_address(number):
    return f"127.0.{2 + number // 250}.{1 + number % 250}"


class Guest:
    """A client with one message, who stops somewhere on the way and goes on later; when the connection has ended it comes again."""

    def __init__(self, number, source, to="x@to.example"):
        self.number, self.source, self.to = number, source, to
        self.content = mail.message(number).replace("\r\n", "\n").replace("\n", "\r\n").encode()
        self.client, self.sent, self.dropped, self.refused = None, 0, 0, 0

    def come(self):
        """Until a banner says 220: who is not wanted yet hears 421."""
        end = time.monotonic() + WAIT_S
        while True:
            self.client = smtp.Client(source=self.source, greet=None, timeout=WAIT_S)
            self.client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a content goes in two pieces
            if self.client.banner[0] == 220:
                return
            assert self.client.banner[0] in (0, 421), self.client.banner
            self.client.close()
            self.refused += 1
            assert time.monotonic() < end, f"{self.source} is never served: {self.client.banner}"
            time.sleep(0.02)

    def steps(self, by_bdat):
        """What is said to the end, as (stop that it leads to, octets, whether a reply comes)."""
        half = len(self.content) // 2
        yield "idle", b"EHLO guest.example\r\n", True
        yield "MAIL", b"MAIL FROM:<sender@from.example>\r\n", True
        yield "RCPT", f"RCPT TO:<{self.to}>\r\n".encode(), True
        if by_bdat:
            yield "BDAT", f"BDAT {len(self.content)} LAST\r\n".encode() + self.content[:half], False
            yield "DOT", self.content[half:], False
        else:
            yield "354", b"DATA\r\n", True
            yield "DATA", self.content[:half], False
            yield "DOT", self.content[half:] + b".\r\n", False

    def begin(self, stop):
        self.come()
        self.rest = self.steps(stop == "BDAT")
        self.go_on(stop)

    def go_on(self, stop=None):
        """To a stop, or to the end. False when the connection is broken."""
        while stop != "banner":
            step = next(self.rest, None)
            if step is None:
                break
            try:
                self.client.raw(step[1])
            except ConnectionError:
                return False
            self.sent += step[0] == "DOT"
            if step[2]:
                code, text = self.client.reply()
                if code == 0:
                    return False
                assert code in (250, 354), (self.source, step[:2], code, text)
            if step[0] == stop:
                break
        return True

    def finish(self):
        """Goes on to the end, again and again if need be; the queue id."""
        while True:
            code, text = self.client.reply() if self.go_on() else (0, "")
            if code == 250:
                self.client.say("QUIT")
                self.client.close()
                return text.split()[-1]
            assert code in (0, 421), (self.source, code, text)
            self.client.close()
            self.dropped += 1
            self.come()
            self.rest = self.steps(False)


def deadly_word(phase, form):
    """What is said before, each with a reply, and what is said then."""
    word, hello, sender = f"planted-command-{form}", "EHLO killer.example", "MAIL FROM:<killer@from.example>"
    recipient = "RCPT TO:<x@to.example>"
    return {"idle": ([hello], f"NOOP {word}\r\n"), "EHLO": ([], f"EHLO {word}\r\n"), "MAIL": ([hello], f"MAIL FROM:<{word}@from.example>\r\n"),
            "RCPT": ([hello, sender], f"RCPT TO:<{word}@to.example>\r\n"), "DATA": ([hello, sender, recipient, "DATA"], f"Subject: {word}\r\n\r\n"),
            "BDAT": ([hello, sender, recipient], f"BDAT 1000\r\nSubject: {word}\r\n")}[phase]


def kill_receiver(source, phase, form, killer=None):
    """Returns when the killer's connection has ended."""
    if not killer:
        killer = Guest(0, source)
        killer.come()
    before, word = deadly_word(phase, form)
    for line in before:
        code, text = killer.client.say(line)
        assert code in (250, 354), (line, code, text)
    killer.client.raw(word.encode())
    assert killer.client.reply() == (0, "") and killer.client.at_end(WAIT_S)
    killer.client.close()


def served_alone(source):
    """A guest whose session is the only one that its address may have."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        guest, other = Guest(0, source), Guest(0, source)
        guest.come()
        other.client = smtp.Client(source=source, greet=None)
        banner = other.client.banner[0]
        other.client.close()
        if banner == 421:
            return guest
        guest.client.close()  # the acceptor had not heard of it yet
    raise AssertionError(f"{source} is not served alone")


def behave(source):
    """A session to its end, after which the address is served like others."""
    guest = Guest(0, source)
    guest.come()
    for line in ("EHLO killer.example", "QUIT"):
        assert guest.client.say(line)[0] in (250, 221)
    guest.client.close()
    return guest


def reception_round(mta, sink, first, source, phase, form, count=64):
    """`count` clients, one of them deadly; what was promised arrives, the others come again if they sat in the same receiver. The record that names it, and
    figures. When the box was scribbled over, all that sat there are suspects, and the killer kills again, alone."""
    def receivers():
        return [r for r in mta.roles() if r["role"] == "receiver"]
    wait_for("all receivers are there", lambda: all(r["state"] == "running" for r in receivers()), WAIT_S)
    known, served = last_number(mta), {r["index"]: r["pid"] for r in receivers()}
    guests = [Guest(first + n, guest_address(n)) for n in range(1, count)]
    for n, guest in enumerate(guests):
        guest.begin(STOPS[n % len(STOPS)])
    kill_receiver(source, phase, form)
    record = new_record(mta, known)
    sent = {guest.number: guest.finish() for guest in guests}
    mta.wait_empty(WAIT_S)
    arrived = arrivals(sink)
    assert set(map(str, sent)) <= set(arrived), f"lost: {set(map(str, sent)) - set(arrived)}"
    for guest in guests:
        assert 1 <= arrived[str(guest.number)] <= max(1, guest.sent), f"message {guest.number} was sent {guest.sent} times and arrived {arrived[str(guest.number)]} times"
    assert record["process"] == "receiver" and record["pid"] == served[record["index"]], record
    if form == "scribble":
        assert not record["named"] and 0 < record["suspects"] <= count, record
        kill_receiver(source, phase, form, served_alone(source))
        record = new_record(mta, record["number"])
        for guest in guests:
            behave(guest.source)  # once more, should one have come before the acceptor knew that it was a suspect
    assert record["named"] and record["remote_address"] == source and record["hung"] == (form == "loop"), (source, phase, form, record)
    return record, {"dropped": sum(g.dropped for g in guests), "untouched": sum(not g.dropped for g in guests), "refused": sum(g.refused for g in guests)}


def arrivals(sink):
    seen = {}
    for m in list(sink.messages):
        seen[mail.id_of(m.content)] = seen.get(mail.id_of(m.content), 0) + 1
    return seen
