"""mtabench as a peer: the sink as a process, the generator as a function, the comparison of their ledgers."""
import json
import signal
import subprocess

from . import core

TOOL = "bench/mtabench/mtabench"


def need_ring(build=None):
    """Skip the test where io_uring is refused: mtabench has nothing else."""
    done = subprocess.run([str((build or core.BUILD) / TOOL), "sink", "--quiet", "--seconds", "1us", "127.99.99.99:9"], capture_output=True, text=True, timeout=30)
    if done.returncode and "io_uring" in done.stderr:
        raise core.Skip(done.stderr.strip())


class Sink:
    """mtabench sink; `counter` makes arrived() cheap enough to be asked often."""

    def __init__(self, world, listen="127.0.0.2:25", options=(), build=None, folder=None):
        need_ring(build)
        place = folder or world.folder
        self.name = listen.replace(":", ".")
        self.ledger, self.counter, self.output, self.errors = (place / f"sink.{self.name}.{what}" for what in ("ledger", "counter", "json", "err"))
        argv = [str((build or core.BUILD) / TOOL), "sink", "--json", "--quiet", "--ledger", str(self.ledger), "--counter", str(self.counter), *options, listen]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=open(self.output, "wb"), stderr=open(self.errors, "wb"))
        world.add(self)
        core.wait_for("the sink says ready", self.ready)

    def ready(self):
        assert self.process.poll() is None, self.errors.read_text()
        return "ready" in self.errors.read_text()

    def arrived(self):
        """Messages that it has taken."""
        return int.from_bytes(self.counter.read_bytes()[:8], "little")

    def recipients(self):
        """The recipients of these."""
        return int.from_bytes(self.counter.read_bytes()[8:], "little")

    def save(self):
        """Its ledger as it is now."""
        before = self.ledger.stat().st_mtime_ns if self.ledger.exists() else 0
        self.process.send_signal(signal.SIGHUP)
        core.wait_for("the sink has written its ledger", lambda: self.ledger.exists() and self.ledger.stat().st_mtime_ns != before)
        return self.ledger

    def finish(self):
        """End it, and what it says."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, self.errors.read_text()
        return json.loads(self.output.read_text())

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def command(target, *options, build=None):
    return [str((build or core.BUILD) / TOOL), "send", "--json", "--quiet", *map(str, options), target]


def send(target, *options, code=0, seconds=60):
    """Run the generator to its end; what it says. `code` is the exit code that is expected, None for any."""
    done = subprocess.run(command(target, *options), capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
    assert code is None or done.returncode == code, f"mtabench send ended with {done.returncode}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def compare(sent, seen, build=None):
    """What was lost or doubled, by two ledgers."""
    done = subprocess.run([str((build or core.BUILD) / TOOL), "compare", "--json", str(sent), str(seen)], capture_output=True, text=True)
    assert done.returncode in (0, 1) and done.stdout, done.stderr
    return json.loads(done.stdout)
