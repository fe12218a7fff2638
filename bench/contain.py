#!/usr/bin/env python3
"""contain.py UPPER COMMAND... - run a server whose paths are compiled in, in a mount namespace of its own, and take in what it leaves behind.

UPPER holds what it shall find: UPPER/usr, UPPER/etc and UPPER/lib are laid over /usr, /etc and /var/lib (nothing there can be written), UPPER/spool and
UPPER/run are /var/spool and /run, and can. Processes that lose their parent come to this one, which waits for them: so their CPU time is in its own account.
"""
import ctypes
import os
import signal
import subprocess
import sys

PR_SET_CHILD_SUBREAPER, CLONE_NEWNS = 36, 0x00020000


def mount(*words):
    subprocess.run(["mount", *words], check=True)


def own_view(upper):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        sys.exit("contain.py: " + os.strerror(ctypes.get_errno()))
    mount("--make-rprivate", "/")
    for name, place in (("usr", "/usr"), ("etc", "/etc"), ("lib", "/var/lib")):
        if os.path.exists(f"{upper}/{name}"):
            mount("-t", "overlay", "overlay", "-o", f"lowerdir={upper}/{name}:{place}", place)
    mount("--bind", f"{upper}/spool", "/var/spool")
    mount("--bind", f"{upper}/run", "/run")


def main():
    own_view(sys.argv[1])
    child = os.fork()
    if child == 0:
        os.execv(sys.argv[2], sys.argv[2:])
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return  # nobody is left


main()
