"""Have a running process of ours make system calls, as if it had been taken over (tests/inside/inside.c)."""
import errno
import fcntl
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess

from . import core

NR = dict(
    read=0, write=1, open=2, close=3, fstat=5, poll=7, lseek=8, mmap=9, mprotect=10, ioctl=16, pread64=17, pwrite64=18, dup=32, dup2=33, getpid=39, sendfile=40,
    socket=41, connect=42, accept=43, sendto=44, recvfrom=45, sendmsg=46, recvmsg=47, shutdown=48, bind=49, listen=50, socketpair=53, setsockopt=54, clone=56,
    fork=57, vfork=58, execve=59, kill=62, fcntl=72, truncate=76, ftruncate=77, chdir=80, fchdir=81, rename=82, mkdir=83, link=86, unlink=87, symlink=88,
    chmod=90, fchmod=91, ptrace=101, setuid=105, prctl=157, chroot=161, mount=165, tkill=200, futex=202, getdents64=217, tgkill=234, rt_sigqueueinfo=129,
    splice=275, unshare=272, openat=257, mkdirat=258, linkat=265, unlinkat=263, renameat=264, symlinkat=266, fallocate=285, accept4=288, name_to_handle_at=303,
    open_by_handle_at=304, setns=308, process_vm_readv=310, process_vm_writev=311, bpf=321, memfd_create=319, execveat=322, userfaultfd=323, pkey_mprotect=329,
    pidfd_send_signal=424, io_uring_setup=425, io_uring_enter=426, io_uring_register=427, pidfd_open=434, clone3=435, openat2=437, pidfd_getfd=438)

AT_FDCWD = -100
OP = dict(
    NOP=0, READV=1, WRITEV=2, POLL_ADD=6, SENDMSG=9, RECVMSG=10, TIMEOUT=11, ACCEPT=13, ASYNC_CANCEL=14, CONNECT=16, OPENAT=18, CLOSE=19,
    FILES_UPDATE=20, STATX=21, READ=22, WRITE=23, SEND=26, RECV=27, OPENAT2=28, SPLICE=30, PROVIDE_BUFFERS=31, SHUTDOWN=34, RENAMEAT=35, UNLINKAT=36,
    LINKAT=39, MSG_RING=40, SOCKET=45, URING_CMD=46, SEND_ZC=47, SENDMSG_ZC=48)
MSG_FASTOPEN = 0x20000000
NO_COMPLETION = -2**31


def tool():
    path = core.BUILD / "tests/inside/inside"
    if os.geteuid() != 0:
        raise core.Skip("needs root")
    if not path.exists():
        raise core.Skip(f"{path} is not built (x86-64 only)")
    return path


class Dead(Exception):
    """The process died of the attempt."""


class Inside:
    """One process (or one thread of it), stopped. `with` ends in its death, unless go() was called."""

    def __init__(self, tid):
        self.tid, self.role, self.is_dead = tid, "outside", False
        self.tool = subprocess.Popen([str(tool()), str(tid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.expect("here")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tool.stdin.close()
        self.tool.wait(30)

    def line(self):
        got = self.tool.stdout.readline().strip()
        assert got and not got.startswith("?"), f"inside of {self.tid}: {got or 'the tool ended'}"
        return got

    def say(self, text):
        self.tool.stdin.write(text + "\n")
        self.tool.stdin.flush()
        return self.line()

    def expect(self, word):
        got = self.line()
        assert got == word, got

    def go(self):
        assert self.say("go") == "gone"
        self.tool.wait(30)

    def put(self, octets):
        """Octets in its memory; a text ends in NUL. Returns the address."""
        if isinstance(octets, str):
            octets = octets.encode() + b"\0"
        return int(self.say("put " + octets.hex()).split()[1])

    def get(self, address, length):
        return bytes.fromhex(self.say(f"get {address} {length}").split()[1])

    def result(self, answer):
        kind, value = answer.split()
        if kind == "!":
            self.is_dead = True
            raise Dead(signal.Signals(int(value)).name if int(value) else "exit")
        return int(value)

    def call(self, name, *arguments):
        """Result of a system call, -errno when it failed. Texts and octets among the arguments are put into its memory."""
        values = [self.put(a) if isinstance(a, (str, bytes)) else int(a) for a in arguments]
        values += [0] * (6 - len(values))
        return self.result(self.say(f"call {NR[name]} " + " ".join(str(v) for v in values)))

    def ring(self, op, fd=-1, offset=0, address=0, length=0, flags=0, sqe_flags=0, personality=0, address_length=0):
        """Result of one entry through its ring."""
        sqe = struct.pack("<BBHiQQIIQHHHH", OP[op], sqe_flags, 0, fd, offset, address, length, flags, 0, 0, personality, address_length, 0)
        return self.result(self.say(f"ring {ring_fd(self.tid)} {sqe.ljust(64, bytes(1)).hex()}"))


def outcome(attempt):
    """What became of attempt(): the name of an error or a signal, or "allowed"."""
    try:
        value = attempt()
    except Dead as death:
        return str(death)
    if value >= 0:
        return "allowed"
    return "no completion" if value == NO_COMPLETION else errno.errorcode.get(-value, str(value))


def address(host, port):
    return struct.pack("<H", socket.AF_INET) + struct.pack(">H", port) + socket.inet_aton(host) + bytes(8)


def iovec(at, length):
    return struct.pack("<QQ", at, length)


# ---- what /proc says ----

def descriptors(pid):
    """{number: what it is}"""
    found = {}
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(entry.name)] = os.readlink(entry)
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def ring_fd(pid):
    return [fd for fd, what in descriptors(pid).items() if what == "anon_inode:[io_uring]"][0]


def tcp_fd(pid, port, remote=True):
    """The descriptor of an IPv4 TCP socket with this remote (or local) port; None when there is none."""
    inodes = set()
    for row in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        words = row.split()
        if int(words[2 if remote else 1].split(":")[1], 16) == port:
            inodes.add(f"socket:[{words[9]}]")
    found = [fd for fd, what in descriptors(pid).items() if what in inodes]
    return found[0] if found else None


def is_waiting(pid):
    """Whether it is locked down and sits in its loop."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        number = pathlib.Path(f"/proc/{pid}/syscall").read_text().split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return re.search(r"^Seccomp:\s*2$", status, re.M) is not None and number in ("426", "232", "281")


def roles(mtad):
    """{role: [pids]} of the children, by their place."""
    found = {}
    children = pathlib.Path(f"/proc/{mtad.process.pid}/task/{mtad.process.pid}/children").read_text().split()
    for pid in children:
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if b"--role" in words:
            found.setdefault(words[words.index(b"--role") + 1].decode(), []).append((int(words[words.index(b"--index") + 1]), int(pid)))
    return {role: [pid for _, pid in sorted(pids)] for role, pids in found.items()}


def process_of(mtad, role, index=0, other_than=0):
    """The process of a role when it waits in its loop."""
    def ready():
        pids = roles(mtad).get(role, [])
        return pids[index] if len(pids) > index and pids[index] != other_than and is_waiting(pids[index]) else 0
    return core.wait_for(f"{role} waits", ready, 30)


def sleeper(given, cwd):
    """A process that nothing confines, with descriptors of ours ({number there: number here}). Ends with the namespace that the test runs in."""
    aside = {there: fcntl.fcntl(here, fcntl.F_DUPFD_CLOEXEC, 100) for there, here in given.items()}

    def place():
        for there, here in aside.items():
            os.dup2(here, there)

    process = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, cwd=cwd, preexec_fn=place, close_fds=False)
    for here in aside.values():
        os.close(here)
    return process
