"""What a process could do that was taken over: tried from inside of each role of an ordinary, fully started daemon.

tests/inside makes the real process execute system calls, and puts entries into its real ring. The table says of every attempt, for every role, how it is
refused: SIGSYS is the filter of system calls (the process is dead), other words are errors of the kernel. "allowed" stands where it is the role's work, or
harmless, with the reason beside it. The first tests show that the tool can do what is refused elsewhere: to a process that nothing confines."""
import mmap
import os
import pathlib
import signal
import socket
import struct

from harness import core, inside, mail, smtp
from harness.core import limit, wait_for
from harness.inside import AT_FDCWD, MSG_FASTOPEN, Inside, address, outcome

ROLES = ("acceptor", "receiver", "deliver", "connector", "resolver", "mailbox", "control", "tables", "greylist", "manager", "authd")
ROUTES = "route box { match rcpt-domain box.example; maildir @DIR@/mail/{domain}/{local} }\nroute out { match any; relay smtp://127.0.0.2:25 }"
EXTRA = ("mailbox { create on }\nrules r { greylist on }\ngreylist { path @DIR@/greylist }\nworkers { smtp 1; delivery 1 }\nsandbox { engine io_uring }\n"
         "auth people { file @DIR@/users }")
HANDED = ("127.0.0.1", 7777)   # somebody listens there; no configuration names it
TCP, UDP, ICMP, MPTCP = 6, 17, 1, 262
FOLDER = 7                     # the first folder that manager and mailbox were handed
LOG = 5
CONFIG = 4
LIVES = 3                      # of a place, one after the other, before its next start would be held back for long


class Facts:
    """What an attempt needs to know."""

    def __init__(self, mta, pid):
        self.mta, self.pid, self.parent = mta, pid, mta.process.pid
        self.sibling = wait_for("some other role lives", lambda: [p for pids in inside.roles(mta).values() for p in pids if p != pid], 60)[0]


def sock(p, family=socket.AF_INET, kind=socket.SOCK_STREAM, protocol=0):
    return p.call("socket", family, kind, protocol)


def connected(p, host, port, kind=socket.SOCK_STREAM):
    """connect() of a fresh socket; where there can be no socket, of a descriptor that there is."""
    fd = sock(p, kind=kind) if CAN_SOCKET.get(p.role) else 3
    return p.call("connect", fd, address(host, port), 16)


def fastopen(p, name):
    fd = sock(p) if CAN_SOCKET.get(p.role) else 3
    there = p.put(address(*HANDED))
    if name == "sendto":
        return p.call("sendto", fd, b"x", 1, MSG_FASTOPEN, there, 16)
    head = struct.pack("<QIxxxxQQQQi", there, 16, p.put(inside.iovec(p.put(b"x"), 1)), 1, 0, 0, 0)
    return p.call("sendmsg", fd, head, MSG_FASTOPEN)


def page(p):
    """Memory of its own, which it may have."""
    at = p.call("mmap", 0, 4096, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    assert at > 0
    return at


CAN_SOCKET = {"connector": True, "resolver": True, "outside": True}

FILES = {
    "open a file by its whole path": lambda p, f: p.call("openat", AT_FDCWD, "/etc/passwd", os.O_RDONLY),
    "open a file by the way up": lambda p, f: p.call("openat", AT_FDCWD, "../../../../../../etc/passwd", os.O_RDONLY),
    "open above a folder it was handed": lambda p, f: p.call("openat", FOLDER, "../../../../../../etc/passwd", os.O_RDONLY),
    "list the folder above": lambda p, f: p.call("openat", FOLDER, "..", os.O_RDONLY | os.O_DIRECTORY),
    "name the folder above": lambda p, f: p.call("openat", FOLDER, "..", os.O_PATH | os.O_DIRECTORY),
    "make a file above": lambda p, f: p.call("openat", FOLDER, "../made", os.O_WRONLY | os.O_CREAT, 0o644),
    "remove a file above": lambda p, f: p.call("unlinkat", FOLDER, "../log", 0),
    "link a file above": lambda p, f: p.call("linkat", FOLDER, "../mta.conf", FOLDER, "linked", 0),
    "rename a file above": lambda p, f: p.call("renameat", FOLDER, "../mta.conf", FOLDER, "stolen"),
    "make a folder above": lambda p, f: p.call("mkdirat", FOLDER, "../made-folder", 0o755),
    "make a symbolic link": lambda p, f: p.call("symlinkat", "/etc/passwd", FOLDER, "pointer"),
    "open its memory": lambda p, f: p.call("openat", AT_FDCWD, "/proc/self/mem", os.O_RDWR),
    "open a descriptor anew": lambda p, f: p.call("openat", AT_FDCWD, f"/proc/self/fd/{LOG}", os.O_WRONLY),
    "open the queue's log": lambda p, f: p.call("openat", AT_FDCWD, f"{f.mta.queue}/log/0001.seg", os.O_WRONLY),
    "open with open": lambda p, f: p.call("open", "/etc/passwd", os.O_RDONLY),
    "open with openat2": lambda p, f: p.call("openat2", AT_FDCWD, "/etc/passwd", bytes(24), 24),
    "open by a handle": lambda p, f: p.call("open_by_handle_at", FOLDER, struct.pack("<IIQ", 4096, 1, 2), os.O_RDONLY),
    "shorten by name": lambda p, f: p.call("truncate", f"{f.mta.queue}/log/0001.seg", 0),
    "change rights by name": lambda p, f: p.call("chmod", "/etc", 0o755),
    "change the working folder": lambda p, f: p.call("chdir", ".."),
    "change the working folder by descriptor": lambda p, f: p.call("fchdir", FOLDER),
    "change the root": lambda p, f: p.call("chroot", "."),
    "mount": lambda p, f: p.call("mount", "none", "/mnt", "tmpfs", 0, 0),
}

SOCKETS = {
    "make a Unix socket": lambda p, f: sock(p, socket.AF_UNIX),
    "make a pair of them": lambda p, f: p.call("socketpair", socket.AF_UNIX, socket.SOCK_STREAM, 0, bytes(8)),
    "make a TCP socket": lambda p, f: sock(p),
    "make a TCP socket for IPv6": lambda p, f: sock(p, socket.AF_INET6),
    "make a UDP socket": lambda p, f: sock(p, kind=socket.SOCK_DGRAM),
    "make a raw socket": lambda p, f: sock(p, kind=socket.SOCK_RAW, protocol=ICMP),
    "make an MPTCP socket": lambda p, f: sock(p, protocol=MPTCP),
    "make a netlink socket": lambda p, f: sock(p, socket.AF_NETLINK, socket.SOCK_RAW),
    "make a packet socket": lambda p, f: sock(p, socket.AF_PACKET, socket.SOCK_RAW),
    "make a VM socket": lambda p, f: sock(p, 40),
    "connect to a port that nobody named": lambda p, f: connected(p, *HANDED),
    "connect to the port of a route": lambda p, f: connected(p, "127.0.0.2", 25),
    "connect to the port of a route, on this host": lambda p, f: connected(p, "127.0.0.1", 25),
    "connect by UDP": lambda p, f: connected(p, *HANDED, kind=socket.SOCK_DGRAM) if p.role != "connector" else sock(p, kind=socket.SOCK_DGRAM),
    "take a port": lambda p, f: p.call("bind", sock(p) if CAN_SOCKET.get(p.role) else 3, address("127.0.0.1", 2626), 16),
    "listen": lambda p, f: p.call("listen", sock(p) if CAN_SOCKET.get(p.role) else 3, 5),
    "accept": lambda p, f: p.call("accept", 3, 0, 0),
    "send to an address": lambda p, f: p.call("sendto", sock(p, kind=socket.SOCK_DGRAM) if p.role in ("resolver", "outside") else 3,
                                              b"x", 1, 0, address(*HANDED), 16),
    "connect by sending": lambda p, f: fastopen(p, "sendto"),
    "connect by sending a message": lambda p, f: fastopen(p, "sendmsg"),
    "change a socket's protocol": lambda p, f: p.call("setsockopt", 3, TCP, 31, "smc", 4),
}

PROCESSES = {
    "signal its parent": lambda p, f: p.call("kill", f.parent, 0),
    "signal another process": lambda p, f: p.call("kill", f.sibling, 0),
    "signal everybody": lambda p, f: p.call("kill", -1, 0),
    "signal a thread of another": lambda p, f: p.call("tgkill", f.sibling, f.sibling, 0),
    "signal a thread by its number": lambda p, f: p.call("tkill", f.sibling, 0),
    "signal with a value": lambda p, f: p.call("rt_sigqueueinfo", f.sibling, signal.SIGCHLD, struct.pack("<iii", 0, 0, -1).ljust(128, b"\0")),
    "get hold of a process": lambda p, f: p.call("pidfd_open", f.sibling, 0),
    "signal by descriptor": lambda p, f: p.call("pidfd_send_signal", 3, 0, 0, 0),
    "take a descriptor of another": lambda p, f: p.call("pidfd_getfd", 3, 0, 0),
    "trace another process": lambda p, f: p.call("ptrace", 16, f.sibling, 0, 0),
    "read another process": lambda p, f: p.call("process_vm_readv", f.sibling, inside.iovec(p.put(bytes(8)), 8), 1, inside.iovec(0, 8), 1, 0),
    "write another process": lambda p, f: p.call("process_vm_writev", f.sibling, inside.iovec(p.put(bytes(8)), 8), 1, inside.iovec(0, 8), 1, 0),
    "execute": lambda p, f: p.call("execve", "/bin/true", 0, 0),
    "execute by descriptor": lambda p, f: p.call("execveat", 3, "", 0, 0, 0x1000),
    "fork": lambda p, f: p.call("fork"),
    "vfork": lambda p, f: p.call("vfork"),
    "clone": lambda p, f: p.call("clone", signal.SIGCHLD, 0, 0, 0, 0),
    "clone3": lambda p, f: p.call("clone3", bytes(88), 88),
    "make a thread": lambda p, f: p.call("clone", 0x3d0f00, p.put(bytes(8)), 0, 0, 0),
    "leave its namespaces": lambda p, f: p.call("unshare", 0x4000000),
    "enter other namespaces": lambda p, f: p.call("setns", 3, 0),
    "become root": lambda p, f: p.call("setuid", 0),
    "undo what prctl did": lambda p, f: p.call("prctl", 4, 1, 0, 0, 0),
}

KERNEL = {
    "executable memory": lambda p, f: p.call("mmap", 0, 4096, mmap.PROT_READ | mmap.PROT_EXEC, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0),
    "make memory executable": lambda p, f: p.call("mprotect", page(p), 4096, mmap.PROT_READ | mmap.PROT_EXEC),
    "make memory executable with a key": lambda p, f: p.call("pkey_mprotect", page(p), 4096, mmap.PROT_READ | mmap.PROT_EXEC, -1),
    "make a memory file": lambda p, f: p.call("memfd_create", "x", 0),
    "make a second ring": lambda p, f: p.call("io_uring_setup", 8, bytes(120)),
    "change its ring": lambda p, f: p.call("io_uring_register", 3, 9, 0, 0),
    "load a program into the kernel": lambda p, f: p.call("bpf", 0, struct.pack("<IIII", 2, 4, 4, 1).ljust(64, b"\0"), 64),
    "handle page faults": lambda p, f: p.call("userfaultfd", 1),
    "change the configuration": lambda p, f: p.call("write", CONFIG, b"x", 1),
    "change the configuration in memory": lambda p, f: p.call("mmap", 0, 4096, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, CONFIG, 0),
    "shorten the log": lambda p, f: p.call("ftruncate", LOG, 0),
    "punch a hole into the log": lambda p, f: p.call("fallocate", LOG, 3, 0, 100),
    "take O_APPEND off the log": lambda p, f: p.call("fcntl", LOG, 4, 0),
    "seek in the log": lambda p, f: p.call("lseek", LOG, 0, 0),
    "write into the middle of the log": lambda p, f: p.call("pwrite64", LOG, b"", 0, 0),
    "copy a descriptor": lambda p, f: p.call("fcntl", LOG, 1030, 0),
    "splice": lambda p, f: p.call("splice", 3, 0, 3, 0, 0, 0),
    "ask a device": lambda p, f: p.call("ioctl", LOG, 0x5401, bytes(64)),
}


def start(world, name="mta", **parts):
    inside.tool()
    return world.mtad(name=name, routes=ROUTES, extra=EXTRA, **parts)


def attempt_all(world, attempts):
    """{role: {attempt: outcome}}. Whoever dies of one is started again by the master, at once the first time; for the rest comes another daemon."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(HANDED)
    listener.listen(64)
    left = {role: list(attempts) for role in ROLES}
    found = {role: {} for role in ROLES}
    number = 0
    while any(left.values()):
        mta = start(world, f"mta{number}")
        number += 1
        before = dict.fromkeys(ROLES, 0)
        for role in ROLES * LIVES:
            if left[role]:
                before[role] = attempt_some(mta, role, before[role], left[role], attempts, found[role])
        mta.kill()
    listener.close()
    return found


def attempt_some(mta, role, before, left, attempts, found):
    """Try one after the other until it dies. Returns its process number."""
    pid = inside.process_of(mta, role, other_than=before)
    with Inside(pid) as p:
        p.role = role
        while left:
            name = left.pop(0)
            found[name] = outcome(lambda: attempts[name](p, Facts(mta, pid)))
            if p.is_dead:
                break
    return pid


def compare(found, usual, exceptions):
    """Exactly: `usual` for every role, but for what `exceptions` say, {attempt: {role: outcome}}."""
    wrong = []
    for role, results in found.items():
        for name, result in results.items():
            expected = exceptions.get(name, {}).get(role, usual)
            if result != expected:
                wrong.append(f"{role}: {name}: {result}, not {expected}")
    assert not wrong, "\n".join(wrong)


# ---- the table ----

FOLDERS = ("mailbox", "greylist", "manager")   # who has folders to work in
FILLS = ("mailbox", "manager")     # who makes more there than one file
ONE_FOLDER_UP = {role: "EACCES" for role in FOLDERS}   # Landlock
EMPTY_ROOT = {role: "ENOENT" for role in FOLDERS}      # there is nothing in it
LIBRARY_ASKS = {"resolver": "EACCES"}                  # the filter answers libunbound, which can do without

EXCEPTIONS = {
    # Files: only manager, mailbox and greylist open any, in their folders.
    "open a file by its whole path": EMPTY_ROOT | LIBRARY_ASKS,
    "open a file by the way up": {"mailbox": "ENOENT", "greylist": "ENOENT", "manager": "EACCES"} | LIBRARY_ASKS,   # the manager's working folder is outside the empty root
    "open above a folder it was handed": ONE_FOLDER_UP | LIBRARY_ASKS,
    "list the folder above": ONE_FOLDER_UP | LIBRARY_ASKS,
    "name the folder above": {role: "allowed" for role in FOLDERS} | LIBRARY_ASKS,   # O_PATH: a name without any right; what it leads to stays shut
    "make a file above": ONE_FOLDER_UP | LIBRARY_ASKS,
    "remove a file above": {role: "EACCES" for role in FILLS},
    "link a file above": {role: "EPERM" for role in FILLS},   # not its owner's file: refused before Landlock is asked
    "rename a file above": {"manager": "EACCES", "greylist": "EACCES"},
    "make a folder above": {role: "EACCES" for role in FILLS},
    "open its memory": EMPTY_ROOT | LIBRARY_ASKS,
    "open a descriptor anew": EMPTY_ROOT | LIBRARY_ASKS,
    "open the queue's log": EMPTY_ROOT | LIBRARY_ASKS,
    # Sockets: the connector makes TCP sockets, the resolver asks DNS servers.
    "make a pair of them": LIBRARY_ASKS,
    "make a TCP socket": {"connector": "allowed", "resolver": "allowed"},
    "make a TCP socket for IPv6": {"connector": "allowed", "resolver": "allowed"},
    "make a UDP socket": {"resolver": "allowed"},
    "connect to a port that nobody named": {"connector": "EACCES", "resolver": "EACCES"},
    "connect to the port of a route": {"connector": "ECONNREFUSED", "resolver": "EACCES"},   # nobody listens there: the kernel went and looked
    "connect to the port of a route, on this host": {"connector": "allowed", "resolver": "EACCES"},   # Landlock knows ports, not addresses
    "connect by UDP": {"resolver": "allowed"},
    "take a port": {"connector": "EACCES", "resolver": "EACCES"},
    "send to an address": {"resolver": "allowed"},
    "change a socket's protocol": {"resolver": "ENOTSUP"},   # any option; none of them makes a connection
    # Descriptors that everybody has.
    "change the configuration": {role: "EPERM" for role in ROLES},             # sealed
    "change the configuration in memory": {role: "EPERM" for role in ROLES},
    "take O_APPEND off the log": {"resolver": "allowed"},   # libunbound sets flags of sockets; it cannot seek, so it appends all the same
    "write into the middle of the log": {"receiver": "allowed", "manager": "allowed"},   # for body files; O_APPEND stands, so it is appended (see below)
    "ask a device": LIBRARY_ASKS,
    # The manager works on files, and reads nothing from a network: it could destroy the log, like the queue.
    "shorten the log": {"manager": "allowed"},
    "punch a hole into the log": {"manager": "allowed"},
    "seek in the log": {"manager": "allowed"},
    "copy a descriptor": {"manager": "allowed"},
}


@limit(180)
def test_files(world):
    compare(attempt_all(world, FILES), "SIGSYS", EXCEPTIONS)


@limit(180)
def test_sockets(world):
    compare(attempt_all(world, SOCKETS), "SIGSYS", EXCEPTIONS)


@limit(180)
def test_processes(world):
    compare(attempt_all(world, PROCESSES), "SIGSYS", EXCEPTIONS)


@limit(180)
def test_kernel(world):
    compare(attempt_all(world, KERNEL), "SIGSYS", EXCEPTIONS)


# ---- the check can fail ----

# What a process that nothing confines is told, where it is not "allowed": there is nothing of the kind, and the kernel went and looked.
OUTSIDE = {
    "open by a handle": "EINVAL",
    "connect to the port of a route": "ECONNREFUSED",
    "connect to the port of a route, on this host": "ECONNREFUSED",
    "accept": "EINVAL",
    "change a socket's protocol": "ENOTSUP",
    "signal by descriptor": "EBADF",
    "take a descriptor of another": "EBADF",
    "execute by descriptor": "EACCES",
    "read another process": "EFAULT",   # nothing is mapped at 0
    "write another process": "EFAULT",
    "make a thread": "SIGKILL",   # it was made, and the tool ends what is made
    "enter other namespaces": "EINVAL",
    "change its ring": "ENOTSUP",
    "ask a device": "ENOTTY",
}


class Outside:
    """Processes that nothing confines, with the same descriptors, in a folder like a daemon's."""

    def __init__(self, folder):
        self.queue, self.process = folder / "queue", self
        for name in ("queue/log", "mail"):
            (folder / name).mkdir(parents=True)
        for name in ("mta.conf", "queue/log/0001.seg", "log"):
            (folder / name).write_text("x" * 1000)
        self.cwd = folder / "mail"
        memory = os.memfd_create("config")
        os.ftruncate(memory, 4096)
        self.ends = socket.socketpair()
        self.given = {3: self.ends[0].fileno(), CONFIG: memory, LOG: os.open(folder / "log", os.O_WRONLY | os.O_APPEND), FOLDER: os.open(self.cwd, os.O_RDONLY)}
        self.parent = self.sibling = self.sleeper().pid
        self.mta = self

    def sleeper(self):
        return inside.sleeper(self.given, self.cwd)


def test_outside_all_is_possible(world):
    """The same attempts, by the same tool, from a process without a sandbox."""
    inside.tool()
    listener = socket.create_server(HANDED)
    found = {}
    for attempts in (FILES, SOCKETS, PROCESSES, KERNEL):
        left = list(attempts)
        folder = world.folder / f"outside{len(found)}"
        facts = Outside(folder)
        while left:
            with Inside(facts.sleeper().pid) as p:
                while left and not p.is_dead:
                    name = left.pop(0)
                    found[name] = outcome(lambda: attempts[name](p, facts))
                    if name in ("execute", "mount", "change the root"):
                        break
    listener.close()
    compare({"outside": found}, "allowed", {name: {"outside": result} for name, result in OUTSIDE.items()})


# ---- the ring ----

# What each role's list has: streams for those that speak SMTP, accept for the door.
RING = {"acceptor": {"ACCEPT"}, "receiver": {"SEND", "RECV"}, "deliver": {"SEND", "RECV"}}
ALWAYS = {"POLL_ADD", "ASYNC_CANCEL"}
FLAGS = {"FIXED_FILE": 1, "IO_DRAIN": 2, "IO_LINK": 4, "IO_HARDLINK": 8, "ASYNC": 16}


def test_ring_does_what_is_listed(world):
    """Every operation through the ring that the role really uses: EACCES is the answer of the list."""
    mta = start(world)
    for role, listed in RING.items():
        with Inside(inside.process_of(mta, role)) as p:
            assert outcome(lambda: p.ring("ASYNC_CANCEL")) == "ENOENT", role   # carried out: there is nothing to cancel
            found = {op: outcome(lambda: p.ring(op)) for op in inside.OP if op not in listed | ALWAYS}
            assert found == dict.fromkeys(found, "EACCES"), (role, found)
            found = {op: outcome(lambda: p.ring(op)) for op in listed}
            assert "EACCES" not in found.values(), (role, found)
            found = {flag: outcome(lambda: p.ring("ASYNC_CANCEL", sqe_flags=bit)) for flag, bit in FLAGS.items()}
            assert found == dict.fromkeys(FLAGS, "EACCES"), (role, found)
            assert outcome(lambda: p.ring("ASYNC_CANCEL", personality=1)) == "EINVAL", role   # there are none
    for role in sorted(set(ROLES) - set(RING)):
        assert "anon_inode:[io_uring]" not in inside.descriptors(inside.process_of(mta, role)).values(), role


def aim_again(p, fd):
    """An entry that SEND is on the list for, with an address and MSG_FASTOPEN: connects a socket that was never connected."""
    there, octet = p.put(address(*HANDED)), p.put(b"x")
    return outcome(lambda: p.ring("SEND", fd, offset=there, address=octet, length=1, flags=MSG_FASTOPEN, address_length=16))


@limit(120)
def test_ring_cannot_aim_a_socket_again(world):
    """The socket of a session, alive, ended by the remote, reset by the remote, shut down: it leads nowhere else."""
    listener, remote = socket.create_server(HANDED), socket.create_server(("127.0.0.2", 25))
    listener.settimeout(0.3)
    mta = start(world)
    for role in ("receiver", "deliver"):
        for ending in ("none", "closed", "reset"):
            before = inside.process_of(mta, role)
            client = smtp.Client()
            if role == "deliver":
                client.send("a@from.example", f"v@{ending}.example", mail.message("x", 1000))
                peer, pid = remote.accept()[0], before
                fd = wait_for("the worker has the socket", lambda: inside.tcp_fd(pid, 25))
            else:
                peer, pid = client.socket, before
                fd = wait_for("the receiver has the socket", lambda: inside.tcp_fd(pid, peer.getsockname()[1]))
            with Inside(pid) as p:
                if ending == "reset":
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if ending != "none":
                    peer.close()
                found = [aim_again(p, fd), aim_again(p, fd)]
                p.call("shutdown", fd, socket.SHUT_RDWR)
                found.append(aim_again(p, fd))
            assert found == ["EISCONN"] * 3, (role, ending, found)
            inside.process_of(mta, role, other_than=before)
            client.close()
            mta.kill()
            mta = start(world, f"{role}-{ending}")
    try:
        assert not listener.accept(), "somebody came"
    except TimeoutError:
        pass


# ---- what it has ----

def kind(what):
    """A descriptor in words."""
    for sign, word in (("/queue", "queue"), ("/log", "log"), ("/mail", "mail"), ("/greylist", "greylist"), ("mta-config", "configuration"), ("mta-box", "box"), ("mta-grants", "grants"),
                       ("socket:", "socket"), ("[eventpoll]", "loop"), ("[io_uring]", "loop"), ("[eventfd]", "wake"), ("pipe:", "wake"), ("/dev/null", "null")):
        if sign in what:
            return word
    return what


HAS = {"null", "log", "configuration", "socket", "loop"}
HAS_MORE = {"manager": {"queue", "box", "wake"}, "mailbox": {"mail"}, "greylist": {"greylist"}, "receiver": {"wake"}, "acceptor": {"wake"}, "resolver": {"wake"},
            "authd": {"wake"}}


def mapped(pid, name):
    """{rights} of what is mapped of this name."""
    return {line.split()[1] for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines() if name in line}


def test_nobody_holds_what_is_another_s(world):
    """Descriptors and memory of every idle role: the queue is open in the manager only; boxes can be written by their workers only, grants by the manager."""
    mta = start(world)
    for role in ROLES:
        pid = inside.process_of(mta, role)
        found = {kind(what) for what in inside.descriptors(pid).values()}
        assert found <= HAS | HAS_MORE.get(role, set()), (role, found)
        assert mapped(pid, "mta-config") == {"r--s"}, (role, mapped(pid, "mta-config"))
        assert mapped(pid, "mta-grants") == ({"rw-s"} if role == "manager" else set()), (role, mapped(pid, "mta-grants"))
        assert mapped(pid, "mta-box") == ({"rw-s"} if role in ("deliver", "receiver") else set()), (role, mapped(pid, "mta-box"))
    for fd, what in inside.descriptors(inside.process_of(mta, "manager")).items():
        if kind(what) == "box":
            with Inside(inside.process_of(mta, "manager")) as p:
                assert outcome(lambda: p.call("pwrite64", fd, b"x", 1, 0)) == "EBADF"
                assert outcome(lambda: p.call("ftruncate", fd, 0)) in ("EINVAL", "EBADF")
                assert outcome(lambda: p.call("mmap", 0, 4096, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)) == "EACCES"
            break


def body_of(pid):
    return wait_for("it has a body's file", lambda: [fd for fd, what in inside.descriptors(pid).items() if "/body/" in what])[0]


BODY = {
    "write it in memory": ("EACCES", lambda p, fd: p.call("mmap", 0, 4096, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)),
    "write it in the middle": ("SIGSYS", lambda p, fd: p.call("pwrite64", fd, b"x", 1, 0)),
    "shorten it": ("SIGSYS", lambda p, fd: p.call("ftruncate", fd, 0)),
    "open it anew": ("SIGSYS", lambda p, fd: p.call("openat", AT_FDCWD, f"/proc/self/fd/{fd}", os.O_RDWR)),
    "open another": ("SIGSYS", lambda p, fd: p.call("openat", fd, "../0000000000000001", os.O_RDONLY)),
    "write it": ("EBADF", lambda p, fd: p.call("write", fd, b"x", 1)),
}


@limit(120)
def test_a_worker_cannot_change_what_it_delivers(world):
    """A body file that a delivery worker was handed is what was committed, whatever the worker does; and it is delivered in the end."""
    inside.tool()
    text = mail.message("committed", 3000000)
    for name, (expected, attempt) in BODY.items():
        remote = socket.create_server(("127.0.0.2", 25))
        mta = start(world, name.replace(" ", "-"))
        code, reply = smtp.Client().send("a@from.example", "v@to.example", text)
        assert code == 250, reply
        stalled = remote.accept()[0]
        with Inside(inside.process_of(mta, "deliver")) as p:
            fd = body_of(p.tid)
            assert outcome(lambda: attempt(p, fd)) == expected, name
        remote.close()
        stalled.close()
        if name == list(BODY)[-1]:
            sink = smtp.Sink()
            sink.wait(1, 60)
            body = text.split("\n\n" if "\n\n" in text else "\r\n\r\n", 1)[1].encode().replace(b"\r\n", b"\n").strip()
            assert sink.messages[0].content.replace(b"\r\n", b"\n").strip().endswith(body)
        mta.kill()


@limit(90)
def test_a_receiver_cannot_keep_what_was_committed(world):
    """It keeps the file writable by a mapping, closes it as it should, and sends COMMIT: the manager's lease finds that out, and there is no 250."""
    for keeps in (False, True):
        mta = start(world, f"mta-{keeps}", queue="retry 1s 2s 5s; expire 1d")
        client = smtp.Client()
        for line in ("MAIL FROM:<a@from.example>", "RCPT TO:<u@box.example>", "DATA"):
            assert client.say(line)[0] in (250, 354)
        client.raw(b"Subject: kept\r\n\r\n" + (b"x" * 76 + b"\r\n") * 60000)
        pid = inside.process_of(mta, "receiver")
        with Inside(pid) as p:
            fd = body_of(pid)
            if keeps:   # a mapping of what it is its work to fill
                assert outcome(lambda: p.call("mmap", 0, 4096, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, fd, 0)) == "allowed"
            p.go()
        client.raw(b"\r\n.\r\n")
        code, text = client.reply()
        assert code == (451 if keeps else 250), text
        mta.wait_empty()
        assert len(mail.in_maildir(mta.mail)) == (0 if keeps else 1)
        mta.kill()


def test_threads_are_in_the_same_sandbox(world):
    """The receivers' threads and the manager's, which were there before the filter."""
    tried = 0
    for number in range(2):
        mta = start(world, f"mta{number}")
        for role, expected in (("receiver", "SIGSYS"), ("manager", "SIGSYS")):
            pid = inside.process_of(mta, role)
            others = [int(t) for t in os.listdir(f"/proc/{pid}/task") if int(t) != pid]
            assert others, role
            with Inside(others[-1]) as p:
                if role == "manager":
                    assert outcome(lambda: p.call("openat", AT_FDCWD, "/etc/passwd", os.O_RDONLY)) == "ENOENT"
                    assert outcome(lambda: p.call("openat", FOLDER, "..", os.O_RDONLY | os.O_DIRECTORY)) == "EACCES"
                found = outcome(lambda: p.call("openat", AT_FDCWD, "/etc/passwd", 0)) if role == "receiver" and number else outcome(lambda: sock(p))
                assert found == expected, (role, found)
                tried += 1
        mta.kill()
    assert tried == 4


def test_roles_go_on_after_a_call_of_ours(world):
    """What the tool does to a process leaves no trace: so what it finds is the process's doing."""
    sink = smtp.Sink()
    mta = start(world)
    size = mta.log_path.stat().st_size
    for role in ROLES:
        pid = inside.process_of(mta, role)
        with Inside(pid) as p:
            assert p.call("getpid") == pid
            if role == "receiver":
                assert p.call("pwrite64", LOG, b"x\n", 2, 0) == 2   # O_APPEND stands: to the end
            p.go()
    assert mta.log_path.read_bytes()[:1] != b"x" and mta.log_path.stat().st_size >= size + 2
    code, text = smtp.Client().send("a@from.example", ["u@box.example", "v@to.example"], mail.message("after", 30000))
    assert code == 250, text
    mta.wait_empty()
    assert len(sink.messages) == 1 and len(mail.in_maildir(mta.mail)) == 1
    assert all(r["restarts"] == 0 for r in mta.roles())
    mta.stop()
