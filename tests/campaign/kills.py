"""Kill storms: kill -9 of random processes under load, the whole of it and the master alone included; the ledger is compared at the end."""
import collections
import os
import random
import signal
import time

from harness.core import wait_for

from . import load

ROLES = ["manager", "deliver", "receiver", "acceptor", "connector", "resolver", "mailbox", "control"]
VICTIMS = ROLES + ["manager", "deliver", "everything", "master"]  # twice: who holds mail
PAUSE_S = (0.02, 0.35)


def living(name):
    """Pids of processes of that name that are no zombies."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as f:
                    text = f.read()
            except OSError:
                continue
            if text[text.index("(") + 1:text.rindex(")")] == name and text[text.rindex(")") + 2] != "Z":
                found.append(int(entry))
    return found


def kill_one(site, victim):
    """True when something was killed."""
    if victim == "everything":
        site.kills.append((time.monotonic(), victim))
        site.mta.kill()
        site.mta.start()
        return True
    pids = [site.mta.process.pid] if victim == "master" else living(f"mta-{victim}")
    if not pids:
        return False
    site.kills.append((time.monotonic(), victim))
    try:
        os.kill(random.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        site.kills.pop()
        return False
    if victim == "master":
        site.mta.process.wait()
        wait_for("the others follow their master", lambda: not any(living(f"mta-{r}") for r in ROLES), 10)
        site.mta.start()
    return True


def storm(world, kills):
    """So many kills in one queue; the figures, or an AssertionError."""
    site = load.Site(world)
    done = collections.Counter()
    order = []
    while sum(done.values()) < kills:
        time.sleep(random.uniform(*PAUSE_S))
        order = order or random.sample(VICTIMS, len(VICTIMS))
        victim = order.pop()
        if kill_one(site, victim):
            done[victim] += 1
        assert site.mta.process.poll() is None, f"mtad ended by itself with {site.mta.process.returncode}"
    figures = site.settle()
    restarts = sum(r["restarts"] for r in site.mta.status()["roles"])
    died = site.mta.log().count(" died of signal ") - site.mta.log().count(" died of signal 9 ")
    assert died == 0, "a process died of something else than the kills"
    return {"kills": sum(done.values()), **{f"kills of {v}": n for v, n in sorted(done.items())}, **figures, "restarts since the last start": restarts}
