"""What comes over a queue from outside: a disk that gets full while mail flows, a clock that jumps."""
import random
import time

from harness.core import wait_for

from . import cuts, load, tap

DISK_BYTES = 40 << 20
JUMPS_S = (3600, -3600, 7200, -86400, 0, 30, -30, 0)


def full_disk(world, rounds=2):
    """An ext4 gets full since deliveries are too few: 452 and no false 250; deliveries go on, make room, and mail is taken again. So many times."""
    disk = cuts.Disk(world, world.folder / "mta" / "disk", DISK_BYTES)
    moods = {"refuse": 0.95}

    def mood(session, line):
        return b"451 4.2.0 Not now\r\n" if random.random() < moods["refuse"] else None
    site = load.Site(world, start=False, boxes=False, queue="retry 1s; expire 1d; segment-size 1M; min-free 4M", large_every=3, sessions=6, pause=0.001)
    site.sink.answers["RCPT"] = mood
    site.use_disk(disk.place)
    site.begin()
    for number in range(rounds):
        moods["refuse"] = 0.95
        before = refusals(site)
        wait_for("new mail gets 452", lambda: refusals(site) > before, 60)
        arrived = len(site.sink.messages)
        wait_for("deliveries go on while it is full", lambda: len(site.sink.messages) > arrived, 30)
        if number % 2:
            site.kills.append((time.monotonic(), "everything"))
            site.mta.kill()
            site.mta.start()
        moods["refuse"] = 0
        taken = len(site.load.acknowledged)
        wait_for("mail is taken again", lambda: len(site.load.acknowledged) > taken + 20, 60)
    figures = site.settle()
    site.mta.stop()
    return {"times full": rounds, "refused 452": refusals(site), **figures}


def refusals(site):
    return sum(n for text, n in site.load.failures.items() if text.startswith("452"))


def clock_jumps(world, wait_s=1):
    """The manager's wall clock jumps to and fro under load, also over a restart: nothing is lost or expires, no id comes twice.
    What was put off by a clock that was ahead waits until then, or for a flush."""
    site = load.Site(world, start=False, moods=0.3, queue="retry 1s 1s 2s; expire 5d; delay-warning off")
    tapped = tap.Tap(world, site.mta.queue)
    site.mta.prefix = tapped.prefix
    site.begin()
    for number, shift in enumerate(JUMPS_S):
        time.sleep(wait_s)
        tapped.set(clock_shift_s=shift)
        if number % 3 == 2:
            site.kills.append((time.monotonic(), "everything"))
            site.mta.kill()
            site.mta.start()
        before = len(site.load.acknowledged)
        wait_for("mail is taken", lambda: len(site.load.acknowledged) > before + 5, 20)
    site.load.finish()
    assert site.mta.status()["audit"]["balanced"] is True
    figures = site.settle()
    numbers = {}
    for _, number, queue_id, _ in site.arrived():
        assert numbers.setdefault(queue_id, number) == number, f"two messages with the id {queue_id}"
    assert " status=expired" not in site.mta.log()
    return {"jumps": len(JUMPS_S), **figures}

