"""Load for campaigns: clients that never stop trying and note every 250, places where mail arrives, and the comparison at the end."""
import collections
import random
import re
import threading
import time

from harness import mail, smtp

SMALL, LARGE = 1500, 120000          # octets; a large one is kept in a body file
LARGE_EVERY, BOX_EVERY = 40, 4       # one of so many messages
# What ends the boxes of workers with their processes, or takes a record that was not synced: no log line can say that a delivery may be repeated.
BOXES_END = ("everything", "master", "cut", "restart", "fault", "kill")
KILL_BEFORE_S, KILL_AFTER_S = 1, 4   # a kill of that kind explains a second delivery when it came so long before or after the first


class Arrivals(list):
    """The list of a sink's messages that keeps what is needed of each: (time, id, queue id, whole)."""

    def append(self, message):
        super().append(arrival(message.content, time.monotonic()))


def arrival(content, when):
    number = mail.id_of(content)
    queue_id = re.search(rb"with E?SMTP id ([0-9A-Fa-f]{16})", content)
    text = content.replace(b"\r\n", b"\n")
    whole = number is not None and is_whole(number, text)
    return when, number, queue_id.group(1).decode() if queue_id else None, whole


def is_whole(number, text):
    """Whether the content is that of message `number`, of whatever size it was sent in."""
    body = text.split(f"This is message {number}.\n".encode(), 1)
    lines = body[1].split(b"\n") if len(body) == 2 else [b"no"]
    return lines[-1] == b"" and set(lines[:-1]) <= {b"." + b"x" * 70} and len(lines) > SMALL // 80


class Load:
    """`sessions` clients that send new messages until finish(), each again and again until it is acknowledged."""

    def __init__(self, sessions=4, pause=0.005, boxes=True, target=("127.0.0.1", 25), large_every=LARGE_EVERY, large=LARGE):
        self.pause, self.boxes, self.target, self.large_every, self.large = pause, boxes, target, large_every, large
        self.next, self.acknowledged, self.attempts = 0, {}, collections.Counter()
        self.failures = collections.Counter()
        self.lock = threading.Lock()
        self.paused, self.ending, self.deadline = False, False, None
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(sessions)]
        for thread in self.threads:
            thread.start()

    def recipient(self, number):
        return "rcpt@box.example" if self.boxes and number % BOX_EVERY == 0 else f"rcpt@to{number % 3}.example"

    def letter(self, number):
        return mail.message(number, self.large if number % self.large_every == self.large_every - 1 else SMALL)

    def work(self):
        client, number, used = None, None, 0
        while not (self.ending and (number is None or time.monotonic() > self.deadline)):
            if self.paused:
                time.sleep(0.01)
                continue
            if number is None:
                with self.lock:
                    number, self.next = self.next, self.next + 1
            try:
                if client is None or used >= 30:
                    if client:
                        client.close()
                    client, used = smtp.Client(self.target, timeout=20), 0
                used += 1
                self.attempts[str(number)] += 1
                code, text = client.send("sender@from.example", self.recipient(number), self.letter(number))
            except OSError as error:
                code, text = 0, type(error).__name__
            if code == 250:
                self.acknowledged[str(number)] = time.monotonic()
                number = None
                time.sleep(self.pause * random.uniform(0, 2))
                continue
            self.failures[f"{code} {text[:60]}"] += 1
            if client:
                client.close()
            client = None
            time.sleep(0.05)
        if client:
            client.close()

    def finish(self, seconds=60):
        """No new messages; those begun are tried until they are in."""
        self.deadline = time.monotonic() + seconds
        self.ending = True
        for thread in self.threads:
            thread.join(seconds + 25)
        assert not any(t.is_alive() for t in self.threads), f"clients still wait: {self.failures.most_common(5)}"


class Site:
    """An mtad whose mail goes to a sink that is moody, and to a Maildir; with the load on it."""

    def __init__(self, world, queue="retry 1s 1s 2s; expire 1d", extra="", moods=0.05, start=True, **load):
        def mood(session, line):
            return b"451 4.2.0 Not now\r\n" if random.random() < moods else None
        self.sink = smtp.Sink(answers={"RCPT": mood})
        self.sink.messages = Arrivals()
        routes = ("route box { match rcpt-domain box.example; maildir @DIR@/mail/{domain}/{local} }\n"
                  "route out { match any; relay smtp://127.0.0.2:25 }")
        extra = f"mailbox {{ create on }}\ntimeouts {{ data-end 10s; ehlo 10s }}\n{extra}"
        self.mta = world.mtad(routes=routes, queue=queue, extra=extra, start=False)
        self.kills = []   # (time, what)
        self.load_options = load
        if start:
            self.begin()

    def begin(self):
        self.mta.start()
        self.load = Load(**self.load_options)

    def use_disk(self, place):
        """Have queue and mailboxes in the folders queue and mail below `place`."""
        for name in ("queue", "mail"):
            here = getattr(self.mta, name)
            setattr(self.mta, name, place / name)
            self.mta.config_text = self.mta.config_text.replace(str(here), str(place / name))
        self.mta.config_path.write_text(self.mta.config_text)

    def arrived(self):
        found = list(self.sink.messages)
        for path in self.mta.mail.glob("**/new/*"):
            found.append(arrival(path.read_bytes(), path.stat().st_mtime))
        return found

    def duplicates(self, arrived):
        """Why messages came more than once: Counter of reasons; 'unexplained' must not be among them."""
        reasons, by_message = collections.Counter(), collections.defaultdict(lambda: collections.defaultdict(list))
        for when, number, queue_id, _ in arrived:
            by_message[number][queue_id].append(when)
        log = self.mta.log()
        suspects = set(re.findall(r"([0-9A-F]{16}): to=.*maybe_duplicate", log))
        for number, copies in by_message.items():
            if len(copies) > 1:
                reasons["sent again by the client" if len(copies) <= self.load.attempts[number] else "unexplained"] += len(copies) - 1
            for queue_id, times in copies.items():
                for before, after in zip(sorted(times), sorted(times)[1:]):
                    if queue_id in suspects:
                        reasons["logged maybe_duplicate"] += 1
                    elif any(before - KILL_BEFORE_S <= t <= before + KILL_AFTER_S and t <= after for t, what in self.kills if what in BOXES_END):
                        reasons["all was ended before its outcome was recorded"] += 1
                    else:
                        reasons["unexplained"] += 1
        return reasons

    def settle(self, seconds=90):
        """The end of a run: nothing acknowledged is lost or changed, duplicates are explained, the books balance. Returns the figures."""
        self.load.finish()
        self.mta.ctl("queue", "flush")
        self.mta.wait_empty(seconds)
        arrived = self.arrived()
        lost = set(self.load.acknowledged) - {number for _, number, _, _ in arrived}
        assert not lost, f"LOST: {len(lost)} of {len(self.load.acknowledged)} acknowledged: {sorted(lost)[:20]}"
        broken = [a for a in arrived if not a[3]]
        assert not broken, f"{len(broken)} arrived changed: {broken[:3]}"
        reasons = self.duplicates(arrived)
        assert not reasons["unexplained"], f"duplicates: {reasons}"
        status = self.mta.status()
        assert status["audit"]["balanced"] is True, status["audit"]
        self.check()
        return {"acknowledged": len(self.load.acknowledged), "arrived": len(arrived), "lost": 0,
                **{f"duplicates, {reason}": n for reason, n in reasons.items() if n}}

    def check(self):
        """`mtactl queue check` finds nothing."""
        code, text = self.mta.ctl("queue", "check", json_output=False)
        assert code == 0, f"queue check: {code} {text}"
