"""Fault sweep: every place in the manager that makes a system call or asks for memory, failing once with each error, under load.

The tap (tap.c) tells places apart by who called: the call and up to five return addresses in mtad and liblmdb. A place that is passed while mail flows fails
there; one that is passed only at a start fails at a start. A sync that is made to fail also undoes what was written since the last good one, as a kernel
does that drops dirty pages, so that a false 250 is mail that is gone at the next start; and after many faults the manager is killed, so that there is one.
"""
import collections
import errno
import random
import os
import signal
import time

from . import kills, load, tap

ERRORS = {
    "OPEN": ["EIO", "ENOSPC", "EMFILE", "ENOMEM"], "READ": ["EINTR", "EIO"], "PREAD": ["EIO", "EINTR", "ENOMEM", "SHORT"],
    "WRITE": ["EIO", "ENOSPC", "EINTR", "SHORT"], "WRITEV": ["EIO", "ENOSPC", "EINTR", "SHORT"], "PWRITE": ["EIO", "ENOSPC", "EINTR", "ENOMEM", "SHORT"],
    "FDATASYNC": ["EIO", "ENOSPC", "EINTR"], "FSYNC": ["EIO", "ENOSPC", "EINTR"], "RENAME": ["EIO", "ENOSPC"], "UNLINK": ["EIO"],
    "MKDIR": ["EIO", "ENOSPC"], "STAT": ["EIO", "ENOMEM"], "STATVFS": ["EIO"], "FLOCK": ["EINTR", "ENOLCK"], "FCNTL": ["EIO", "EAGAIN"],
    "OPENDIR": ["ENOMEM"], "READDIR": ["EIO"], "MMAP": ["ENOMEM"], "MALLOC": ["ENOMEM"], "CALLOC": ["ENOMEM"], "REALLOC": ["ENOMEM"],
    "THREAD": ["EAGAIN"], "FORK": ["EAGAIN", "ENOMEM"], "SENDMMSG": ["EINTR", "ENOBUFS", "EAGAIN"], "RECVMMSG": ["EINTR", "ENOMEM", "EAGAIN"],
    "EVENTFD": ["EMFILE"], "EPOLL_CTL": ["ENOMEM"], "EPOLL_WAIT": ["EINTR"], "POLL": ["EINTR"], "CLOSE": ["EIO"], "FTRUNCATE": ["EIO", "ENOSPC"],
    "FCHDIR": ["EIO"],
}
DISK = ("PWRITE", "WRITEV", "FDATASYNC", "FSYNC")
ROUND = 40               # faults between two comparisons
COMMANDS = [("queue", "list"), ("queue", "check"), ("status",), ("queue", "count"), ("queue", "flush")]


def number_of(name):
    return tap.SHORT if name == "SHORT" else getattr(errno, name)


class Sweep:
    def __init__(self, world, seconds, faults):
        self.site = load.Site(world, start=False, moods=0.4, queue="retry 1s 1s 2s; expire 1d; segment-size 1M", sessions=4)
        self.mta = self.site.mta
        self.tap = tap.Tap(world, self.mta.queue)
        self.mta.prefix = self.tap.prefix
        self.tap.set(injecting=1, losing=1)
        self.deadline = time.monotonic() + seconds if seconds else None
        self.most = faults
        self.done, self.fired = set(), []
        self.counts = collections.Counter()

    def begin(self):
        self.site.begin()
        time.sleep(1.5)
        self.commands()
        self.restart()
        time.sleep(1)

    def over(self):
        return (self.deadline is not None and time.monotonic() > self.deadline) or (self.most is not None and len(self.fired) >= self.most)

    def commands(self):
        for command in COMMANDS:
            self.mta.ctl(*command, check=False, json_output=False)

    def start(self):
        """Start it; a fault at the start may end it: then it is started again, without a fault."""
        for _ in range(5):
            self.mta.start(wait=False)
            try:
                self.mta.wait_ready(60)
                return
            except AssertionError:
                if self.mta.process.poll() is None:
                    raise
                self.counts["starts refused"] += 1
        raise AssertionError("it cannot be started any more")

    def restart(self):
        self.site.kills.append((time.monotonic(), "restart"))
        self.mta.kill()
        self.start()

    def recover(self):
        """After a fault: it goes on, or is restarted and goes on."""
        before = len(self.site.load.acknowledged)
        end = time.monotonic() + 30
        while len(self.site.load.acknowledged) == before:
            if self.mta.process.poll() is not None:
                raise AssertionError(f"mtad ended with {self.mta.process.returncode} after {self.fired[-1]}")
            if not kills.living("mta-manager") and time.monotonic() > end - 28.5:
                self.restart()  # its pauses between restarts grow, which is right, and long
            assert time.monotonic() < end, f"no mail is taken for 30 s after {self.fired[-1]}: {self.site.load.failures.most_common(4)}"
            time.sleep(0.01)

    def one(self, site, call, error, at_start):
        """Let one place fail once. Whether it was passed."""
        lives = self.tap.lives
        self.tap.arm(site, number_of(error))
        if at_start:
            self.restart()
        else:
            end = time.monotonic() + 0.6
            while not self.tap.fired and time.monotonic() < end:
                time.sleep(0.005)
        self.tap.set(armed_left=0)
        if not self.tap.fired:
            return False
        self.site.kills.append((time.monotonic(), "fault"))
        self.fired.append((call, error, site, "start" if at_start else "run"))
        self.counts[f"{call} {error}"] += 1
        time.sleep(0.02)
        if random.random() < (0.5 if call in DISK else 0.05):
            self.site.kills.append((time.monotonic(), "kill"))
            for pid in kills.living("mta-manager"):
                os.kill(pid, signal.SIGKILL)
            self.counts["manager killed after a fault"] += 1
        self.recover()
        if self.tap.lives != lives and not at_start:
            self.counts["manager restarted"] += 1
        return True

    def compare(self):
        """All that was acknowledged so far is there or has arrived, and the queue is sound."""
        self.site.load.paused = True
        time.sleep(0.3)
        acknowledged = set(self.site.load.acknowledged)
        self.restart()  # what is only in memory is gone now
        self.mta.ctl("queue", "flush")
        self.mta.wait_empty(60)
        lost = acknowledged - {a[1] for a in self.site.arrived()}
        assert not lost, f"LOST after {self.fired[-ROUND:]}: {sorted(lost)[:10]}"
        self.site.check()
        assert self.mta.status()["audit"]["balanced"] is True, self.fired[-ROUND:]
        self.site.load.paused = False

    def todo(self, errors_each):
        """Pairs of place and error that were not tried, those first whose places were passed lately."""
        pairs = []
        for number, (call, count, _) in enumerate(self.tap.sites()):
            names = ERRORS[call] if not errors_each else random.Random(number).sample(ERRORS[call], min(errors_each, len(ERRORS[call])))
            pairs += [(number, call, name) for name in names if (number, name) not in self.done]
        return pairs

    def run(self, errors_each):
        since = 0
        for at_start in (False, True):
            while not self.over():
                counts = [s[1] for s in self.tap.sites()]
                time.sleep(0.4)
                later = [s[1] for s in self.tap.sites()]
                pairs = [p for p in self.todo(errors_each) if at_start or p[0] >= len(counts) or later[p[0]] > counts[p[0]]]
                if not pairs:
                    break
                random.shuffle(pairs)
                for number, call, error in pairs[:ROUND]:
                    if self.over():
                        break
                    if self.one(number, call, error, at_start) or at_start:
                        self.done.add((number, error))
                        since += 1
                    if since >= ROUND:
                        self.compare()
                        since = 0
                if not at_start:
                    self.commands()


def sweep(world, errors_each=0, seconds=None, faults=None):
    """errors_each: how many errors at each place, 0 = all of them; stops after so many seconds or faults. The figures, or an AssertionError."""
    s = Sweep(world, seconds, faults)
    s.begin()
    s.run(errors_each)
    s.compare()
    figures = s.site.settle()
    died = [line for line in s.mta.log().splitlines() if " died of signal " in line and "signal 9 " not in line]
    places = len({f[2] for f in s.fired})
    return {"faults": len(s.fired), "max places failed in one batch": places, "max places seen": s.tap.site_count,
            "max pairs not tried in one batch": len(s.todo(errors_each)), **figures, "died of a signal": len(died), **dict(sorted(s.counts.items()))}


def some(world, count):
    """A batch of the long form: so many faults, in an order of its own."""
    return sweep(world, faults=count)


def every(world, _):
    """The complete sweep in one go."""
    return sweep(world)
