"""Soak: half of what the site can carry, for a long time. Memory, descriptors and files must stay flat, and the books exact."""
import os
import time

from . import kills, load

CALIBRATE_S = 20          # as fast as it goes, to know what half is
WARM_UP_S = 120           # caches fill, segments and pools reach their size
SAMPLE_S = 5
SESSIONS = 6
MEMORY_SLACK = 1.15       # what the last third may have over the first third behind the warm-up, and 2 MiB
FILES_SLACK_KIB = 96 << 10  # segments that are kept ready, an index that has grown to its steady size


def anonymous_kib(pid):
    """Anonymous and shared memory of a process: what is in no file."""
    total = 0
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith(("RssAnon:", "RssShmem:")):
                total += int(line.split()[1])
    return total


def sample(site):
    """{what: number} at this moment, for all processes of a role together."""
    now = {}
    for role in kills.ROLES:
        for pid in kills.living(f"mta-{role}"):
            try:
                now[f"{role} KiB"] = now.get(f"{role} KiB", 0) + anonymous_kib(pid)
                now[f"{role} descriptors"] = now.get(f"{role} descriptors", 0) + len(os.listdir(f"/proc/{pid}/fd"))
            except OSError:
                pass  # it ended meanwhile: the restarts are counted
    now["queue KiB"] = sum(p.stat().st_blocks // 2 for p in site.mta.queue.rglob("*") if p.is_file())
    now["queue files"] = sum(1 for p in site.mta.queue.rglob("*") if p.is_file())
    return now


def mean(rows, key):
    return sum(r.get(key, 0) for r in rows) / len(rows)


def judge(samples):
    """What grew: {what: (before, after)}; it must be nothing."""
    third = len(samples) // 3
    grown = {}
    for key in samples[-1]:
        before, after = mean(samples[:third], key), mean(samples[-third:], key)
        if key == "queue KiB":
            flat = after <= before + FILES_SLACK_KIB
        elif key.endswith("KiB"):
            flat = after <= before * MEMORY_SLACK + 2048
        else:
            flat = after <= before * MEMORY_SLACK + 10
        if not flat:
            grown[key] = (round(before), round(after))
    return grown


def soak(world, minutes):
    """So many minutes; the figures, or an AssertionError."""
    site = load.Site(world, moods=0.02, sessions=SESSIONS, pause=0)
    time.sleep(CALIBRATE_S)
    full = len(site.load.acknowledged) / CALIBRATE_S
    site.load.pause = SESSIONS / full  # each message then takes twice as long
    time.sleep(WARM_UP_S)
    began, before, samples = time.monotonic(), len(site.load.acknowledged), []
    while time.monotonic() < began + minutes * 60:
        samples.append(sample(site))
        time.sleep(SAMPLE_S)
    seconds = time.monotonic() - began
    rate = (len(site.load.acknowledged) - before) / seconds
    restarts = sum(r["restarts"] for r in site.mta.status()["roles"])
    grown = judge(samples)
    figures = site.settle()
    assert not grown, f"grew: {grown}"
    assert restarts == 0, f"{restarts} restarts"
    return {"minutes": minutes, **figures, "mean messages/s at full load": round(full), "mean messages/s": round(rate),
            **{f"max {key}": max(s.get(key, 0) for s in samples) for key in samples[-1]}}
