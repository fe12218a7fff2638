"""What is read before and after a run: CPU time of process trees and of the machine, what a disk was asked for, and what machine this is."""
import os
import pathlib
import re
import socket
import subprocess
import sys

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
SECTOR_BYTES = 512  # the unit of /proc/diskstats, whatever the device has


def process_table():
    """pid -> (parent's pid, CPU seconds of it and of its children that have ended)."""
    table = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            fields = pathlib.Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue  # ended while we looked
        # From field 3 on: state, ppid, ...; utime, stime, cutime, cstime are fields 14 to 17.
        table[int(entry)] = (int(fields[1]), sum(int(f) for f in fields[11:15]) * TICK_S)
    return table


def tree(pid, table=None):
    """The process and all below it."""
    table = table or process_table()
    children = {}
    for p, (parent, _) in table.items():
        children.setdefault(parent, []).append(p)
    found, wanted = [], [pid]
    while wanted:
        p = wanted.pop()
        if p in table:
            found.append(p)
            wanted += children.get(p, [])
    return found


def tree_cpu_s(pid):
    table = process_table()
    return sum(table[p][1] for p in tree(pid, table))


def memory(pid):
    """Octets of a tree: what is its own, what its processes share (counted once), and files that they map. A page of a file can be had again and is
    not counted as memory that is needed."""
    sums = {"Pss_Anon:": 0, "Pss_Shmem:": 0, "Pss_File:": 0}
    for p in tree(pid):
        try:
            lines = pathlib.Path(f"/proc/{p}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # ended while we looked
        for name, value, *_ in (line.split() for line in lines[1:]):
            if name in sums:
                sums[name] += int(value) * 1024
    return dict(zip(("own", "shared", "files"), sums.values()))


def clients(address):
    """Established connections whose own end is that address ("127.0.0.1:25")."""
    host, port = address.rsplit(":", 1)
    wanted = f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{int(port):04X}"  # the kernel prints the word as this machine has it
    lines = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(1 for fields in map(str.split, lines) if fields[1] == wanted and fields[3] == "01")


def allocated(folder):
    """Octets on the disk below a folder."""
    return sum(os.lstat(os.path.join(at, name)).st_blocks * 512 for at, _, names in os.walk(folder) for name in names)


def threads(pid):
    """"PID/TID name" -> (CPU seconds, times it gave up or lost a CPU), for every thread of a tree."""
    found = {}
    for p in tree(pid):
        try:
            for task in pathlib.Path(f"/proc/{p}/task").iterdir():
                name = (task / "comm").read_text().strip()
                nanoseconds = int((task / "schedstat").read_text().split()[0])
                switches = sum(int(line.split()[1]) for line in (task / "status").read_text().splitlines() if "ctxt_switches" in line)
                found[f"{p}/{task.name} {name}"] = nanoseconds / 1e9, switches
        except OSError:
            continue  # ended while we looked
    return found


def machine_busy_s():
    """CPU seconds that all CPUs together were not idle since the start of the machine."""
    fields = [int(f) for f in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    idle, iowait, guests = fields[3], fields[4], sum(fields[8:10])  # guest time is in user time already
    return (sum(fields) - idle - iowait - guests) * TICK_S


class Disk:
    """The block device under a folder: what it was asked to write and to flush, by whomever. (What the kernel counts for a process, write_bytes, will not do: it
    counts a page cache folio whole each time that a part of it becomes dirty, and folios are of up to 2 MiB.)"""

    def __init__(self, folder):
        number = os.stat(folder).st_dev
        self.major, self.minor = os.major(number), os.minor(number)
        self.name, self.kind = "no block device", ""
        for line in pathlib.Path("/proc/mounts").read_text().splitlines():
            source, point, kind = line.split()[:3]
            if os.path.isdir(point) and os.stat(point).st_dev == number:
                self.kind = kind
        if self.fields():
            self.name = self.fields()[2]

    def fields(self):
        for line in pathlib.Path("/proc/diskstats").read_text().splitlines():
            fields = line.split()
            if (int(fields[0]), int(fields[1])) == (self.major, self.minor):
                return fields
        return []

    def read(self):
        """Bytes written and flushes so far; zeroes when there is no such device."""
        fields = self.fields()
        return (int(fields[9]) * SECTOR_BYTES, int(fields[18])) if len(fields) > 18 else (0, 0)


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return os.uname().machine


def first_line(argv, env=None):
    try:
        done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return (done.stdout + done.stderr).strip().split("\n")[0]


def machine(folder):
    """What a reader must know to compare."""
    disk = Disk(folder)
    memory_kb = int(pathlib.Path("/proc/meminfo").read_text().split()[1])
    cache = pathlib.Path(f"/sys/block/{disk.name}/queue/write_cache")
    return {
        "cpu": cpu_name(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mb": memory_kb // 1024,
        "kernel": os.uname().release,
        "file_system": f"{disk.kind} on {disk.name}",
        "disk_cache": cache.read_text().strip() if cache.exists() else "unknown",
    }
