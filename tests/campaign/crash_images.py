"""Crash images: a tapped manager works, dies in the middle of writing and is started again, and images.c makes and checks the disks it could have left."""
import json
import random
import shutil
import subprocess
import threading
import time

from harness.core import BUILD, wait_for

from . import kills, load, tap

LIVES, LIFE_S = 6, 0.8          # of the manager, in one recording
INLINE = 40000                  # octets of some messages, so that segments fill; more would be a file, whose octets come from another process
CANARY = 60                     # images of a disk that lies, to see that the checks can tell
RECOVERY_DEATH_BYTES = 30000    # a death so early in the journal of a life hits its recovery


class Arrivals(load.Arrivals):
    """Notes how far the journal was when a message arrived: no later image needs to have it."""

    def __init__(self, tapped, path):
        super().__init__()
        self.tap, self.file, self.lock = tapped, open(path, "w"), threading.Lock()

    def append(self, message):
        super().append(message)
        queue_id = self[-1][2]
        with self.lock:
            self.file.write(f"{queue_id} {self.tap.used}\n")
            self.file.flush()


def start_again(mta, tapped):
    """All of it, for the pauses between a manager's deaths would grow. A manager dies behind an entry of the journal: killed from outside it could have
    made a change that the journal does not know."""
    tapped.set(die_at=tap.DIE_ALWAYS)
    wait_for("the manager is dead", lambda: not kills.living("mta-manager"), 20)
    mta.kill()
    tapped.set(die_at=0)
    mta.start()


def record(world):
    """A journal of some lives of a manager under load: (tap, file of arrivals)."""
    arrivals = world.folder / "arrivals"
    site = load.Site(world, start=False, boxes=False, moods=0.15, queue="retry 1s 2s; expire 1d; segment-size 1M",
                     sessions=3, pause=0.02, large_every=8, large=INLINE)
    tapped = tap.Tap(world, site.mta.queue, 256 << 20)
    site.mta.prefix = tapped.prefix
    site.sink.messages = Arrivals(tapped, arrivals)
    tapped.set(recording=1)
    site.begin()
    for life in range(LIVES):
        time.sleep(LIFE_S)
        before = tapped.lives
        tapped.set(die_at=tapped.used + random.randrange(1, 20000))
        wait_for("the next life begins", lambda: tapped.lives > before, 20)
        if life % 3 == 2:
            tapped.set(die_at=tapped.used + random.randrange(1, RECOVERY_DEATH_BYTES))
        if life % 2:
            start_again(site.mta, tapped)
    time.sleep(LIFE_S)
    site.load.finish()
    site.mta.stop()
    assert tapped.recording, "the journal is full"
    return tapped, arrivals


def check(world, tapped, arrivals, count, workers, *more):
    """So many images of one recording: (figures, what was said of bad ones)."""
    running, totals, said = [], {"images": 0, "bad": 0}, ""
    for n in range(workers):
        share = count // workers + (n < count % workers)
        folder = tapped.path.parent / f"{tapped.path.name}-image-{n}"
        argv = [str(BUILD / "tests/campaign/images"), str(tapped.path), str(arrivals), str(folder), str(share), str(random.randrange(1 << 31)), *more]
        running.append((folder, subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)))
    for folder, process in running:
        out, err = process.communicate()
        assert out, f"images ended with {process.returncode}: {err[-2000:]}"
        figures = json.loads(out)
        said += err
        for key in totals:
            totals[key] += figures[key]
        for bad in folder.parent.glob(f"{folder.name}-bad-*"):
            said += f"--- {bad.name}: {(bad / 'said').read_text(errors='replace')[-1500:]}\n"
            shutil.copytree(bad, world.folder / bad.name)
            shutil.rmtree(bad)
    return {**totals, "places": figures["places"], "messages": figures["messages"], "lives": tapped.lives}, said


def images(world, count, workers=2):
    """So many images of one recording; the figures, or an AssertionError."""
    tapped, arrivals = record(world)
    figures, _ = check(world, tapped, arrivals, CANARY, 1, "lying")
    assert figures["bad"], "a disk that ignores every sync was not found out"
    figures, said = check(world, tapped, arrivals, count, workers)
    if figures["bad"]:
        shutil.copy(tapped.path, world.folder / "journal")
    assert not figures["bad"], f"{figures}\n{said[-6000:]}"
    return figures
