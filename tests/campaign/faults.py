"""Fault sweep: every place in the manager that makes a system call or asks for memory, failing once with each error, under load.

The tap (tap.c) tells places apart by who called: the call and up to five return addresses in mtad and liblmdb. A call site is what places with the same call
and the same first of these addresses have in common: the short form lets each of those fail once. First it is learned which places are passed while
mail flows, when the operator asks for something, at a start, and at the first start of a new queue; each then fails where it is passed. What is passed only
behind another fault is counted, and cannot fail alone. A sync that is made to fail also undoes what was written since the last good one, as a kernel does
that drops dirty pages, so that a false 250 is mail that is gone at the next start; and after many faults the manager is killed, so that there is one.
"""
import collections
import errno
import os
import random
import shutil
import signal
import subprocess
import time

from harness.core import BUILD

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
HELD = ("--to", "rcpt@to0.example")
COMMANDS = [("queue", "list"), ("queue", "check"), ("status",), ("queue", "count"), ("queue", "flush"), ("site", "list"), ("crash", "list"),
            ("--yes", "queue", "hold", *HELD), ("--yes", "queue", "release")]
STAGES = ["run", "command", "start", "first start"]
WAITS_S = [0.6, 3, 10]   # how long mail flows past a place that is to fail, one try after the other: some are passed only now and then, ...
NEW_LIFE_S = 10          # ... and some once in the life of a manager: such a try begins with a new one
RARE = 0.02              # of the call sites may not be passed again within all tries; they are told


def number_of(name):
    return tap.SHORT if name == "SHORT" else getattr(errno, name)


class Sweep:
    def __init__(self, world, seconds, faults):
        extra = "workers { smtp 1; delivery 1 }"  # starts are quicker
        self.site = load.Site(world, start=False, moods=0.4, queue="retry 1s 1s 2s; expire 1d; segment-size 1M", extra=extra, sessions=4)
        self.mta = self.site.mta
        self.tap = tap.Tap(world, self.mta.queue)
        self.mta.prefix = self.tap.prefix
        self.tap.set(injecting=1, losing=1)
        self.deadline = time.monotonic() + seconds if seconds else None
        self.most = faults
        self.done, self.fired = set(), []
        self.wait_s = WAITS_S[0]
        self.passed = {}         # stage: places that were passed in it when nothing failed
        self.counts = collections.Counter()

    def over(self):
        return (self.deadline is not None and time.monotonic() > self.deadline) or (self.most is not None and len(self.fired) >= self.most)

    # ---- what passes places ----

    def pass_run(self):
        if self.wait_s >= NEW_LIFE_S:
            self.pass_start()
        end = time.monotonic() + self.wait_s
        while not self.tap.fired and time.monotonic() < end:
            time.sleep(0.005)

    def pass_command(self):
        for command in COMMANDS:
            self.mta.ctl(*command, check=False, json_output=False)
            if self.tap.fired:
                break

    def pass_start(self):
        self.site.kills.append((time.monotonic(), "restart"))
        self.mta.kill()
        self.start()

    def pass_first_start(self):
        """Of a queue that is new. The other one is put aside meanwhile, and so are the clients."""
        self.site.load.paused = True
        time.sleep(0.3)
        self.site.kills.append((time.monotonic(), "restart"))
        self.mta.kill()
        aside = self.mta.queue.with_name("queue-aside")
        self.mta.queue.rename(aside)
        try:
            self.start()
            self.site.check()
        finally:
            self.mta.kill()
            shutil.rmtree(self.mta.queue)
            aside.rename(self.mta.queue)
            self.tap.set(armed_left=0)
            self.start()
            self.site.load.paused = False

    def go_through(self, stage):
        {"run": self.pass_run, "command": self.pass_command, "start": self.pass_start, "first start": self.pass_first_start}[stage]()

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

    # ---- places ----

    def learn(self):
        """Which places each stage passes."""
        self.site.begin()
        time.sleep(1.5)
        for stage in STAGES:
            before = [count for _, count, _ in self.tap.sites()]
            for _ in range(2):
                self.go_through(stage)
                time.sleep(1.2 if stage == "run" else 0)  # a checkpoint's way
            self.passed[stage] = {n for n, (_, count, _) in enumerate(self.tap.sites()) if n >= len(before) or count > before[n]}

    def groups(self, by_call_site):
        """Places that count as one: lists of their numbers."""
        found = collections.defaultdict(list)
        for number, (call, _, frames) in enumerate(self.tap.sites()):
            found[(call, frames[0]) if by_call_site else number].append(number)
        return list(found.values())

    def todo(self, stage, errors_each, by_call_site):
        """Pairs of place and error that this stage may try: of a call site one place is enough."""
        sites, pairs = self.tap.sites(), []
        for group in self.groups(by_call_site):
            call = sites[group[0]][0]
            names = ERRORS[call] if not errors_each else random.Random(group[0]).sample(ERRORS[call], min(errors_each, len(ERRORS[call])))
            here = [n for n in group if n in self.passed[stage]]
            pairs += [(random.choice(here), call, name) for name in names if here and not any((n, name) in self.done for n in group)]
        random.shuffle(pairs)
        return pairs

    def describe(self, number):
        """A place as a person would look for it."""
        call, _, frames = self.tap.sites()[number]
        inside = [hex((f & (1 << 48) - 1) - 1) for f in frames if f >> 48 == 1]
        argv = ["addr2line", "-s", "-e", str(BUILD / "mta/master/mtad"), *inside]
        where = subprocess.run(argv, capture_output=True, text=True).stdout.split() if inside else []
        return f"{call} by {' < '.join(where) or 'liblmdb'}"

    # ---- faults ----

    def recover(self):
        """After a fault: it goes on, or is restarted and goes on."""
        before = len(self.site.load.acknowledged)
        end = time.monotonic() + 30
        while len(self.site.load.acknowledged) == before:
            if self.mta.process.poll() is not None:
                raise AssertionError(f"mtad ended with {self.mta.process.returncode} after {self.fired[-1]}")
            if not kills.living("mta-manager") and time.monotonic() > end - 28.5:
                self.pass_start()  # its pauses between restarts grow, which is right, and long
            assert time.monotonic() < end, f"no mail is taken for 30 s after {self.fired[-1]}: {self.site.load.failures.most_common(4)}"
            time.sleep(0.01)

    def one(self, number, call, error, stage):
        """Let one place fail once. Whether it was passed."""
        lives = self.tap.lives
        self.tap.arm(number, number_of(error))
        self.go_through(stage)
        self.tap.set(armed_left=0)
        if not self.tap.fired:
            return False
        self.site.kills.append((time.monotonic(), "fault"))
        self.fired.append((call, error, number, stage))
        self.counts[f"{call} {error}"] += 1
        self.counts[f"at {stage}"] += 1
        time.sleep(0.02)
        if random.random() < (0.5 if call in DISK else 0.05):
            self.site.kills.append((time.monotonic(), "kill"))
            for pid in kills.living("mta-manager"):
                os.kill(pid, signal.SIGKILL)
            self.counts["manager killed after a fault"] += 1
        self.recover()
        if self.tap.lives != lives and "start" not in stage:
            self.counts["manager restarted"] += 1
        return True

    def compare(self):
        """All that was acknowledged so far is there or has arrived, and the queue is sound."""
        self.site.load.paused = True
        time.sleep(0.3)
        acknowledged = set(self.site.load.acknowledged)
        self.pass_start()  # what is only in memory is gone now
        self.mta.ctl("--yes", "queue", "release", check=False)
        self.mta.ctl("queue", "flush")
        self.mta.wait_empty(60)
        lost = acknowledged - {a[1] for a in self.site.arrived()}
        assert not lost, f"LOST after {self.fired[-ROUND:]}: {sorted(lost)[:10]}"
        self.site.check()
        assert self.mta.status()["audit"]["balanced"] is True, self.fired[-ROUND:]
        self.site.load.paused = False

    def run(self, errors_each, by_call_site):
        since = 0
        for stage in STAGES:
            for self.wait_s in WAITS_S:
                for number, call, error in self.todo(stage, errors_each, by_call_site):
                    if self.over():
                        return
                    if not self.one(number, call, error, stage):
                        continue
                    self.done.add((number, error))
                    since += 1
                    if since >= ROUND:
                        self.compare()
                        since = 0

    def missing(self, errors_each, by_call_site):
        """Pairs whose place was passed in a stage when nothing failed, and that did not fail all the same."""
        return {(number, error) for stage in STAGES for number, _, error in self.todo(stage, errors_each, by_call_site)}


def sweep(world, errors_each=0, by_call_site=False, seconds=None, faults=None):
    """errors_each: how many errors at each place, 0 = all of them; stops after so many seconds or faults. The figures, or an AssertionError."""
    s = Sweep(world, seconds, faults)
    s.learn()
    s.run(errors_each, by_call_site)
    s.compare()
    figures = s.site.settle()
    died = [line for line in s.mta.log().splitlines() if " died of signal " in line and "signal 9 " not in line]
    missing = s.missing(errors_each, by_call_site)
    for number, error in sorted(missing):
        print(f"did not fail: {error} of {s.describe(number)}")
    groups = s.groups(True)
    failed = {number for _, _, number, _ in s.fired}
    alone = set().union(*s.passed.values())
    return {"faults": len(s.fired), "max call sites seen": len(groups), "max call sites failed in one batch": sum(1 for g in groups if failed & set(g)),
            "max call sites that only another fault leads to": sum(1 for g in groups if not alone & set(g)),
            "max places seen": s.tap.site_count, "max places failed in one batch": len(failed), "max pairs not tried in one batch": len(missing),
            **figures, "died of a signal": len(died), **dict(sorted(s.counts.items()))}


def some(world, count):
    """A batch of the long form: so many faults, in an order of its own."""
    return sweep(world, faults=count)


def every(world, _):
    """The complete sweep in one go."""
    return sweep(world)


def every_call_site(world):
    """The short form: each call site once. AssertionError when some that are passed did not fail."""
    figures = sweep(world, errors_each=1, by_call_site=True)
    assert figures["max call sites failed in one batch"] >= 150, f"the tap has not seen what the manager does: {figures}"
    assert figures["max pairs not tried in one batch"] <= RARE * figures["max call sites failed in one batch"], figures
    return figures
