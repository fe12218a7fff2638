"""Damage: one octet of a stopped queue is changed, anywhere in its log or index; flips.c opens each such queue and compares every message."""
import json
import random
import subprocess
import time

from harness.core import BUILD

from . import load


def stopped_queue(world, seconds=6):
    """The folder of a queue that was killed with mail that waits and mail that is gone."""
    site = load.Site(world, boxes=True, moods=0.4, queue="retry 1s 10m; expire 1d; segment-size 1M", sessions=3, pause=0.02, large_every=10, large=30000)
    time.sleep(seconds)
    site.load.finish()
    time.sleep(1.5)  # a checkpoint
    site.mta.kill()
    return site.mta.queue


def flips(world, count, workers=2):
    """So many single changes; the figures, or an AssertionError."""
    folder = stopped_queue(world)
    argv = [str(BUILD / "tests/campaign/flips"), str(folder)]
    scratch = world.folder / "flips"
    running = [subprocess.Popen([*argv, f"{scratch}-{n}", str(count // workers + (n < count % workers)), str(random.randrange(1 << 31))],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for n in range(workers)]
    totals, said = {"flips": 0, "bad": 0, "felt": 0, "second starts": 0}, ""
    for process in running:
        out, err = process.communicate()
        assert out, f"flips ended with {process.returncode}: {err[-2000:]}"
        said += err
        figures = json.loads(out)
        for key in totals:
            totals[key] += figures[key]
    assert not totals["bad"], f"{totals}\n{said[-5000:]}"
    assert totals["felt"], "no change was noticed: they did not hit anything"
    return {**totals, "messages": figures["messages"]}
