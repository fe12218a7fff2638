"""Messages with an id, and the ledger of what was acknowledged and what arrived."""
import collections
import re
import threading
import time

from . import smtp


def message(number, size=0, subject="test", extra=""):
    """A message whose id can be found wherever it ends up."""
    text = (f"From: sender@from.example\r\nTo: rcpt@to.example\r\nSubject: {subject}\r\nMessage-ID: <id-{number}-x@ledger.example>\r\n{extra}\r\n"
            f"This is message {number}.\r\n")
    line = "." + "x" * 70 + "\r\n"
    return text + line * max(0, (size - len(text)) // len(line))


def id_of(content):
    found = re.search(rb"Message-ID: <id-([\w.-]+)-x@ledger\.example>", content)
    return found.group(1).decode() if found else None


def in_maildir(folder):
    """Contents of all messages in the Maildirs below a folder."""
    return [p.read_bytes() for p in sorted(folder.glob("**/new/*"))]


class Ledger:
    """Clients that note an id when they read 250, and otherwise connect again and send it again. At the end: acknowledged minus arrived is empty."""

    def __init__(self, count, target=("127.0.0.1", 25), sessions=4, size=300, per_connection=20, recipient="rcpt@to.example", give_up=60, more=None):
        """`more`: as long as it says so there are further messages behind the first `count`, however quick those were."""
        self.next, self.more = count, more
        self.target, self.size, self.per_connection, self.recipient = target, size, per_connection, recipient
        self.todo = collections.deque(range(count))
        self.acknowledged, self.again = set(), 0
        self.failures = collections.Counter()
        self.lock = threading.Lock()
        self.deadline = time.monotonic() + give_up
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(sessions)]
        for thread in self.threads:
            thread.start()

    def work(self):
        client, used = None, 0
        while time.monotonic() < self.deadline:
            try:
                number = self.todo.popleft()
            except IndexError:
                if not (self.more and self.more()):
                    break
                with self.lock:
                    number, self.next = self.next, self.next + 1
            try:
                if client is None or used >= self.per_connection:
                    if client:
                        client.say("QUIT")
                        client.close()
                    client, used = smtp.Client(self.target, timeout=15), 0
                used += 1
                code, text = client.send("sender@from.example", self.recipient, message(number, self.size))
            except (OSError, TimeoutError) as error:
                code, text = 0, type(error).__name__
            if code == 250:
                with self.lock:
                    self.acknowledged.add(str(number))
                continue
            with self.lock:
                self.again += 1
                self.failures[f"{code} {text[:70]}"] += 1
            self.todo.append(number)
            if client:
                client.close()
            client = None
            time.sleep(0.05)
        if client:
            client.close()

    def finish(self, seconds=60):
        end = time.monotonic() + seconds
        for thread in self.threads:
            thread.join(max(0.1, end - time.monotonic()))
        assert not self.todo and not any(t.is_alive() for t in self.threads), \
            f"{len(self.todo)} messages could not be sent; {len(self.acknowledged)} were; failures: {self.failures.most_common(5)}"

    def compare(self, contents):
        """Lost ids must be none; returns how many messages arrived more than once."""
        return self.compare_ids(collections.Counter(filter(None, (id_of(c) for c in contents))))

    def compare_ids(self, arrived):
        lost = self.acknowledged - set(arrived)
        assert not lost, f"{len(lost)} of {len(self.acknowledged)} acknowledged messages were lost: {sorted(lost)[:20]}"
        return sum(n - 1 for n in arrived.values())
