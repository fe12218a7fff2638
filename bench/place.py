"""Where a run takes place: namespaces of its own, so that ports are free and all that it starts ends with it; and a folder that goes away with it."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from harness import core

ROOT = pathlib.Path(__file__).resolve().parent.parent
INSIDE = "BULKHEAD_BENCH_INSIDE"


def enter(program, why, unpack=()):
    """Run this command again in namespaces of its own; come back when this is that second run. `why` it takes root; `unpack` are servers of others."""
    if INSIDE in os.environ:
        return
    if os.geteuid() != 0:
        sys.exit(f"{program}: needs root, {why}")
    for words in unpack:
        subprocess.run([str(ROOT / "tests/peers/unpack"), *words], check=True, cwd=ROOT)
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--net", "--pid", "--mount", "--ipc", "--fork", "--kill-child", "--mount-proc", sys.executable, *sys.argv])


@contextlib.contextmanager
def world(folder):
    """A World below that folder."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    place = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-bench-", dir=folder))
    place.chmod(0o755)
    made = core.World(place)
    try:
        yield made
    finally:
        made.stop()
        subprocess.run(["umount", "-l", str(place / "memory")], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(place, ignore_errors=True)


def neutral(text, folder):
    """Paths of this machine say nothing to a reader: the folder of the run and that of the source get names."""
    return text.replace(str(folder), "RUN").replace(str(ROOT), "SOURCE")
