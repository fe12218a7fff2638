"""Run a command where io_uring_setup is refused, as in a container's default profile: python3 no_io_uring.py COMMAND ..."""
import ctypes
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE_EPERM = 0x7fff0000, 0x00050000 | 1
IO_URING_SETUP = 425  # the same on every architecture


def instruction(code, k, if_true=0, if_false=0):
    return struct.pack("HBBI", code, if_true, if_false, k)


def main():
    filter_ = b"".join([instruction(LOAD_WORD, 0), instruction(JUMP_IF_EQUAL, IO_URING_SETUP, 0, 1), instruction(RETURN, REFUSE_EPERM), instruction(RETURN, ALLOW)])
    memory = ctypes.create_string_buffer(filter_, len(filter_))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(filter_) // 8, ctypes.addressof(memory)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program):
        sys.exit(f"no_io_uring: {os.strerror(ctypes.get_errno())}")
    os.execvp(sys.argv[1], sys.argv[1:])


main()
