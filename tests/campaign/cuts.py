"""Power cuts: queue and mailboxes on an ext4 in a loop mount, shut down by ioctl under load; then killed, mounted again, started, compared.

EXT4_IOC_SHUTDOWN without a log flush stops all writing at that instant: what was not synced is gone after the next mount, as after a power cut. It takes what
the file system had given to its device for durable; torn sectors and a device's own cache are for crash images (images.py).
"""
import collections
import fcntl
import os
import random
import struct
import subprocess
import time

from harness.core import Skip

from . import load

SHUTDOWN = 0x8004587d   # _IOR('X', 125, __u32)
NO_LOG_FLUSH, LOG_FLUSH = 2, 1
DISK_BYTES = 192 << 20
LOAD_S = (0.1, 1.2)     # between two cuts
LINGER_S = (0, 0.15)    # on the dead disk, before the kill


class Disk:
    """A file system in an image file, mounted at a place of ours."""

    def __init__(self, world, place, size=DISK_BYTES, options=()):
        self.image, self.place = world.folder / f"disk.{place.name}", place
        place.mkdir(parents=True, exist_ok=True)
        with open(self.image, "wb") as f:
            f.truncate(size)
        self.sh("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,nodiscard", *options, str(self.image))
        self.mount()
        world.add(self)

    def sh(self, *argv):
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode:
            raise Skip(f"{' '.join(argv)}: {done.stderr.strip()}")

    def mount(self):
        self.sh("mount", "-o", "loop", str(self.image), str(self.place))
        self.place.chmod(0o755)

    def cut(self, flags=NO_LOG_FLUSH):
        fd = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", flags))
        finally:
            os.close(fd)

    def unmount(self):
        end = time.monotonic() + 10
        while subprocess.run(["umount", str(self.place)], capture_output=True).returncode:
            assert time.monotonic() < end, f"{self.place} cannot be unmounted"
            time.sleep(0.02)

    def again(self):
        """As after the power came back: journal replayed."""
        self.unmount()
        self.mount()

    def stop(self):
        subprocess.run(["umount", "-l", str(self.place)], capture_output=True)


def cuts(world, count):
    """So many cuts of one queue's disk under load; the figures, or an AssertionError."""
    disk = Disk(world, world.folder / "mta" / "disk")
    site = load.Site(world, start=False, queue="retry 1s 1s 2s; expire 1d; segment-size 4M")
    site.use_disk(disk.place)
    site.begin()
    times = collections.Counter()
    for number in range(count):
        time.sleep(random.uniform(*LOAD_S))
        acknowledged = len(site.load.acknowledged)
        began = time.monotonic()
        disk.cut(LOG_FLUSH if number % 5 == 4 else NO_LOG_FLUSH)
        site.kills.append((began, "cut"))
        time.sleep(random.uniform(*LINGER_S))
        site.mta.kill()
        disk.again()
        site.mta.start()
        times["recovery s"] += time.monotonic() - began
        site.check()
        times["acknowledged before a cut"] += acknowledged
        assert site.mta.status()["audit"]["balanced"] is True
    figures = site.settle()
    damaged = [line for line in site.mta.log().splitlines() if "set aside" in line or "damage" in line or "rebuilt" in line]
    site.mta.stop()
    return {"cuts": count, **figures, "damage": len(damaged), "mean recovery ms": round(1000 * times["recovery s"] / count)}
