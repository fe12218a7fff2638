"""The tap (tap.c) from the outside: its journal, call sites and faults. The layout is tap.h's."""
import mmap
import os
import pathlib
import struct

from harness.core import BUILD

MAGIC, SITES_AT, SITES_MAX, JOURNAL_AT, SHORT, DIE_ALWAYS = 0x3170617468756b62, 4096, 4000, 512 * 1024, -1, 1
CALLS = ("OPEN READ PREAD WRITE WRITEV PWRITE FDATASYNC FSYNC RENAME UNLINK MKDIR STAT STATVFS FLOCK FCNTL OPENDIR READDIR MMAP MALLOC CALLOC REALLOC "
         "THREAD FORK SENDMMSG RECVMMSG EVENTFD EPOLL_CTL EPOLL_WAIT POLL CLOSE FTRUNCATE FCHDIR").split()
FIELDS = {"used": (16, "Q"), "die_at": (24, "Q"), "lives": (32, "I"), "recording": (40, "I"), "injecting": (44, "I"), "losing": (48, "I"), "armed_site": (52, "I"),
          "armed_error": (56, "i"), "armed_left": (60, "I"), "fired": (64, "I"), "site_count": (68, "I"),
          "clock_shift_s": (72, "q")}
SITE = struct.Struct("<QII5Q")


class Tap:
    """Shared memory with the manager of one mtad; tap.prefix goes before mtad's command line."""

    def __init__(self, world, root, size=64 << 20):
        self.path = pathlib.Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else world.folder) / f"bulkhead-tap-{os.getpid()}-{id(self)}"
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.ftruncate(fd, size)
        self.memory = mmap.mmap(fd, size)
        os.close(fd)
        struct.pack_into("<QQQ", self.memory, 0, MAGIC, size, JOURNAL_AT)
        library = BUILD / "tests/campaign/libtap.so"
        self.prefix = ["env", f"LD_PRELOAD={library}", f"TAP_FILE={self.path}", f"TAP_ROOT={root}"]
        world.add(self)

    def __getattr__(self, name):
        if name not in FIELDS:
            raise AttributeError(name)
        at, kind = FIELDS[name]
        return struct.unpack_from("<" + kind, self.memory, at)[0]

    def set(self, **fields):
        for name, value in fields.items():
            at, kind = FIELDS[name]
            struct.pack_into("<" + kind, self.memory, at, value)

    def arm(self, site, error, times=1):
        self.set(fired=0, armed_site=site, armed_error=error)
        self.set(armed_left=times)

    def sites(self):
        """[(call, count, frames)], the index is the site's number."""
        found = []
        for n in range(self.site_count):
            _, call, count, *frames = SITE.unpack_from(self.memory, SITES_AT + n * SITE.size)
            found.append((CALLS[call], count, [f for f in frames if f]))
        return found

    def stop(self):
        self.memory.close()
        self.path.unlink(missing_ok=True)
