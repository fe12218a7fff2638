"""The manager's system calls under strace: a delayed fdatasync delays its 250, a failed one yields none."""
import os
import subprocess
import time

from harness import mail, smtp
from harness.core import Skip, limit, wait_for


class Strace:
    """strace attached to every thread of a process, until stop()."""

    def __init__(self, world, pid, *options):
        self.output = world.folder / f"strace.{time.monotonic_ns()}"
        self.process = subprocess.Popen(["strace", "-f", "-q", "-p", str(pid), "-o", str(self.output), *options], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        world.add(self)

        def attached():
            if self.process.poll() is not None:
                raise Skip(f"strace cannot attach: {self.process.stderr.read().decode()}")
            threads = os.listdir(f"/proc/{pid}/task")
            return all("TracerPid:\t0\n" not in open(f"/proc/{pid}/task/{t}/status").read() for t in threads)

        wait_for("strace is attached", attached)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()

    def text(self):
        return self.output.read_text(errors="replace")


@limit(60)
def test_a_delayed_sync_delays_its_250(world):
    smtp.Sink()
    mta = world.mtad()
    client = smtp.Client()
    began = time.monotonic()
    assert client.send("a@from.example", "b@to.example", mail.message(1))[0] == 250
    quick = time.monotonic() - began
    trace = Strace(world, mta.pid_of("manager"), "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=1500000")
    began = time.monotonic()
    code, text = client.send("a@from.example", "b@to.example", mail.message(2))
    slow = time.monotonic() - began
    assert code == 250, text
    assert slow >= 1.5 > quick, f"the 250 came after {slow:.2f} s although its sync took 1.5 s; without delay {quick:.2f} s"
    trace.stop()
    assert "fdatasync" in trace.text()


@limit(60)
def test_a_failed_sync_yields_no_250(world):
    """The answer is 4yz, mail goes on afterwards, and what was refused is not delivered from the log either, also not after a restart."""
    sink = smtp.Sink()
    mta = world.mtad()
    client = smtp.Client()
    assert client.send("a@from.example", "b@to.example", mail.message("before"))[0] == 250
    sink.wait(1)
    mta.wait_empty()
    time.sleep(0.5)
    # An injected error would go to seccomp as call -1: another harmless call is made instead of it.
    trace = Strace(world, mta.pid_of("manager"), "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:syscall=getpid:when=1")
    code, text = client.send("a@from.example", "b@to.example", mail.message("failed"))
    trace.stop()
    assert "EIO" in trace.text(), trace.text()
    assert 400 <= code < 500, f"a failed sync was answered {code} {text}"
    client = smtp.Client()
    wait_for("mail goes on", lambda: client.send("a@from.example", "b@to.example", mail.message("after"))[0] == 250, 10, 0.2)
    wait_for("it arrives", lambda: "after" in [mail.id_of(m.content) for m in sink.messages], 20)
    mta.kill()
    mta.start()
    mta.wait_empty()
    ids = [mail.id_of(m.content) for m in sink.messages]
    assert "failed" not in ids, "a message that was refused was delivered"
    assert ids.count("before") == 1 and "after" in ids, ids


@limit(60)
def test_sync_comes_before_the_answer(world):
    """Seen from outside: with the sync hanging for long, no 250 comes within its time."""
    smtp.Sink()
    mta = world.mtad()
    client = smtp.Client(timeout=3)
    trace = Strace(world, mta.pid_of("manager"), "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_exit=5000000")
    try:
        code, _ = client.send("a@from.example", "b@to.example", mail.message(1))
        raise AssertionError(f"answered {code} before the sync was done")
    except TimeoutError:
        pass
    trace.stop()
