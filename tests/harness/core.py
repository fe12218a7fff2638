"""The world of one test: a folder, the daemons in it, and ways to wait for what should happen."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("BULKHEAD_BUILD", ROOT / "build-test"))


class Skip(Exception):
    """The test cannot run here; the reason is its text."""


def limit(seconds):
    """Mark a test with a time limit other than the default; read by tests/run."""
    def mark(function):
        return function
    return mark


def wait_for(what, check, seconds=20, step=0.02):
    """Wait until check() gives something true and return it; AssertionError with `what` after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s still not: {what} (last: {got!r})")
        time.sleep(step)


def wait_port(host, port, process=None, words=lambda: "", seconds=20):
    """Wait until something listens there; fail at once when `process` has ended."""
    def open_now():
        if process and process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode} before it listened on {host}:{port}: {words()}")
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            return probe.connect_ex((host, port)) == 0
    wait_for(f"{host}:{port} listens", open_now, seconds)


DEFAULTS = {
    "hostname": "mx.test.example",
    "listen": "listen main { address 127.0.0.1:25; trust 127.0.0.0/8 }",
    "queue": "retry 1s 2s 5s; expire 1d",
    "extra": "",
    "routes": "route out { match any; relay smtp://127.0.0.2:25 }",
}


class Mtad:
    """One running mtad with its configuration, queue and log."""

    def __init__(self, world, name="mta", config=None, build=None, prefix=(), start=True, **parts):
        self.world, self.name, self.prefix = world, name, list(prefix)
        self.build = pathlib.Path(build or BUILD)
        self.folder = world.folder / name
        self.folder.mkdir(mode=0o755, exist_ok=True)
        self.socket = self.folder / "control.sock"
        self.queue = self.folder / "queue"
        self.mail = self.folder / "mail"
        self.config_path = self.folder / "mta.conf"
        self.log_path = self.folder / "log"
        self.process = None
        self.write_config(config, **parts)
        if start:
            self.start()

    def write_config(self, config=None, **parts):
        if config is None:
            p = dict(DEFAULTS, **parts)
            config = (f"config-version 1\nhostname {p['hostname']}\n{p['listen']}\n{p['routes']}\n"
                      f"queue {{ path {self.queue}; {p['queue']} }}\ncontrol {{ socket {self.socket} }}\n{p['extra']}\n")
        self.config_text = config.replace("@DIR@", str(self.folder))
        self.config_path.write_text(self.config_text)

    def start(self, wait=True, arguments=()):
        self.log_file = open(self.log_path, "ab")
        self.log_start = self.log_path.stat().st_size
        self.process = subprocess.Popen([*self.prefix, str(self.build / "mta/master/mtad"), "-c", str(self.config_path), *arguments],
                                        stderr=self.log_file, stdout=self.log_file, stdin=subprocess.DEVNULL, start_new_session=True)
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=30):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"mtad ended with {self.process.returncode}:\n{self.log()[-3000:]}")
            return any(line.endswith("ready") for line in self.log(self.log_start).splitlines())
        wait_for("mtad says ready", ready, seconds)

    def log(self, start=0):
        with open(self.log_path, "rb") as f:
            f.seek(start)
            return f.read().decode(errors="replace")

    def wait_log(self, word, seconds=20, count=1):
        return wait_for(f"log has {count} x {word!r}", lambda: self.log().count(word) >= count, seconds)

    def stop(self, seconds=30):
        """SIGTERM, and a clean end with code 0."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            code = self.process.wait(seconds)
            assert code == 0, f"mtad ended with {code}:\n{self.log()[-3000:]}"

    def kill(self):
        """SIGKILL to the whole of it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ctl(self, *arguments, check=True, json_output=True):
        """Run mtactl; returns (exit code, text) without json_output, else the parsed JSON (a list when there are several lines)."""
        argv = [str(self.build / "tools/mtactl"), "--socket", str(self.socket)]
        if json_output:
            argv.append("--json")
        done = subprocess.run([*argv, *arguments], capture_output=True, text=True, timeout=60)
        if not json_output:
            return done.returncode, done.stdout + done.stderr
        if check:
            assert done.returncode in (0, 1, 5), f"mtactl {arguments} ended with {done.returncode}: {done.stdout}{done.stderr}"
        rows = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
        return rows

    def status(self):
        return self.ctl("status")[0]

    def count(self):
        return self.ctl("queue", "count")[0]

    def list(self, *filters):
        return self.ctl("queue", "list", *filters)

    def wait_empty(self, seconds=30):
        return wait_for("the queue is empty", lambda: self.count()["messages"] == 0, seconds, 0.1)

    def roles(self):
        return self.status()["roles"]

    def pid_of(self, role):
        return [r["pid"] for r in self.roles() if r["role"] == role][0]


class World:
    """Everything that a test started, so that it ends."""

    def __init__(self, folder):
        self.folder = folder
        self.daemons, self.closers = [], []

    def mtad(self, *arguments, **parts):
        daemon = Mtad.__new__(Mtad)
        self.daemons.append(daemon)
        daemon.__init__(self, *arguments, **parts)
        return daemon

    def add(self, thing):
        """Have thing.stop() called at the end."""
        self.closers.append(thing)
        return thing

    def describe(self):
        """What one wants to know of a test that failed: what the daemons would answer now, their warnings, and how their logs end."""
        for d in self.daemons:
            if not getattr(d, "log_path", None) or not d.log_path.exists():
                continue
            if d.process and d.process.poll() is None:
                for words in (("status",), ("queue", "count"), ("queue", "list", "--limit", "5"), ("site", "list"), ("crash", "list")):
                    try:
                        print(f"--- {d.name}: mtactl {' '.join(words)}\n{d.ctl(*words, json_output=False)[1][-1500:]}")
                    except subprocess.TimeoutExpired:
                        print(f"--- {d.name}: mtactl {' '.join(words)}: no answer")
            lines = d.log().splitlines()
            told = [line for line in lines if any(word in line for word in ("warning", "error", "fatal", "crash", "quarantine"))]
            print(f"--- {d.name}: its last warnings\n" + "\n".join(told[-15:]))
            print(f"--- log of {d.name}\n" + "\n".join(lines[-15:]))

    def stop(self):
        for thing in reversed(self.closers):
            try:
                thing.stop()
            except Exception as error:
                print(f"while stopping: {error}")
        for d in self.daemons:
            if getattr(d, "process", None) and d.process.poll() is None:
                try:
                    os.killpg(d.process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                d.process.wait()
