"""What the cells of bench/stress are made of: a Bulkhead with a fast destination and a lot of others, sinks for both, and generators, each with its ledger.

The fast destination is a relay to 127.0.0.2. All others are domains below lot.example, which a name server of ours says are served by 127.0.0.66: nobody
listens there until a cell puts a sink there, so these destinations are dead, and all of them come to life in one moment. wait.example is 127.0.0.67.
"""
import json
import resource
import signal
import subprocess
import threading
import time

import meters
import systems
from harness import core, dns, mtabench

FAST, LOT, WAIT = "127.0.0.2:25", "127.0.0.66:25", "127.0.0.67:25"
FIRST_PORT = 2700
POLL_S, LATE_S, SETTLE_S = 0.005, 120, 600
QUIET_SHARE = 0.05  # of a CPU: a system that uses less has nothing in hand

CONFIG = """config-version 1
hostname bulkhead.example
listen load {{ address 127.0.0.1:{port}; trust 127.0.0.0/8 }}
route fast {{ match rcpt-domain fast.example; relay smtp://127.0.0.2:25 }}
route drop {{ match rcpt-domain drop.example; discard }}
route lot {{ match any; mx; family ipv4 }}
queue {{ path {folder}/queue; {queue} }}
control {{ socket {folder}/control.sock }}
resolver {{ stub 127.0.0.53:53 }}
connect {{ allow 127.0.0.0/8 }}
{more}
"""
ZONES = {"lot.example": "@ A 127.0.0.66\n* MX 10 lot.example.", "wait.example": "@ A 127.0.0.67"}
ZONES_TTL_S = 3600


def until_arrived(sink, want, since, left):
    """The moment when the sink has so many recipients. Raises Failed when nothing more arrives for a long time; left() says what is queued then."""
    last, since = -1, max(since, time.monotonic())
    while True:
        got, now = sink.recipients(), time.monotonic()
        if got >= want:
            return now
        if got != last:
            last, since = got, now
        if now - since > LATE_S:
            raise systems.Failed(f"{want - got} recipients are missing, and nothing came for {LATE_S} s; {left()} messages queued")
        time.sleep(POLL_S)


class Watch:
    """A thread that asks again and again, and keeps when the answer was yes."""

    def __init__(self, check, since, step=0.001):
        self.check, self.since, self.step, self.at, self.over = check, since, step, None, False
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self):
        while not self.over:
            if self.check():
                self.at = time.monotonic() - self.since
                return
            time.sleep(self.step)

    def seconds(self, what, most=LATE_S):
        """From `since` to the yes."""
        self.thread.join(most)
        self.over = True
        if self.at is None:
            raise systems.Failed(f"after {most} s still not: {what}")
        return self.at


class Relay:
    """A running Bulkhead."""

    def __init__(self, stage, name, port, queue, more):
        self.port, self.address = port, f"127.0.0.1:{port}"
        config = CONFIG.format(port=port, folder=stage.world.folder / name, queue=queue, more=f"{more}\n{stage.options.extra}")
        self.daemon = stage.world.mtad(name, build=stage.options.build, config=config, prefix=stage.options.prefix.split())

    @property
    def pid(self):
        return self.daemon.process.pid

    def status(self):
        said = self.daemon.status()
        if "queue" not in said:
            raise systems.Failed("the manager is not there")
        return said

    def left(self):
        """Messages queued."""
        return self.status()["queue"]["messages"]

    def memory(self):
        """Octets: own and shared, without mapped files."""
        used = meters.memory(self.pid)
        return used["own"] + used["shared"]

    def sizes(self):
        """What it takes of memory and of the disk."""
        storage, queue = self.status()["storage"], self.daemon.queue
        return {"memory": self.memory(), "index": meters.allocated(queue / "index"), "log": storage["log_bytes"], "checkpoints": storage["checkpoints"]}

    def settle(self):
        """Wait until it has nothing in hand: attempts answered, the index written."""
        end = time.monotonic() + SETTLE_S
        before = meters.tree_cpu_s(self.pid)
        while time.monotonic() < end:
            time.sleep(1)
            now = meters.tree_cpu_s(self.pid)
            if now - before < QUIET_SHARE:
                return
            before = now
        raise systems.Failed(f"after {SETTLE_S} s it is still at work: {self.status()['queue']}")

    def end(self):
        """Stop it, and give the disk back: cells come one after the other, and some fill it."""
        self.daemon.kill()
        subprocess.run(["rm", "-rf", str(self.daemon.folder)], check=True)


class Generator:
    """mtabench send on its way to a relay. `ledger` has what was acknowledged."""

    def __init__(self, stage, target, *options):
        self.ledger = stage.memory.folder / f"sent.{stage.number()}"
        self.argv = mtabench.command(target, "--ledger", self.ledger, *options, build=stage.options.build)
        self.began = time.monotonic()
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        stage.world.add(self)

    def finish(self):
        """Wait for its end, and what it says."""
        text, errors = self.process.communicate()
        if not text:
            raise systems.Failed(f"mtabench send ended with {self.process.returncode}: {errors}")
        said = json.loads(text)
        if not said["acknowledged"]:
            raise systems.Failed(f"no message was taken: {text}")
        return said

    def end(self):
        """End it before its time; what it says."""
        self.process.send_signal(signal.SIGINT)
        return self.finish()

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Stage:
    """One cell's world: the fast sink and the name server are there for all of it, the rest is made as it is needed."""

    def __init__(self, world, memory, options):
        self.world, self.memory, self.options = world, memory, options
        self.disk = meters.Disk(world.folder)
        self.count = 0
        self.names = dns.NameServer(world, ZONES, ttl=ZONES_TTL_S)
        self.fast = self.sink(FAST)

    def number(self):
        self.count += 1
        return self.count

    def sink(self, listen, *options):
        folder = self.memory.folder / f"sink.{self.number()}"
        folder.mkdir()
        return mtabench.Sink(self.memory, listen, [str(word) for word in options], build=self.options.build, folder=folder)

    def relay(self, queue="retry 1h", more=""):
        number = self.number()
        return Relay(self, f"bulkhead.{number}", FIRST_PORT + number, queue, more)

    def compare(self, ledger, sink):
        return mtabench.compare(ledger, sink.save(), build=self.options.build)

    def must_have_arrived(self, generator, said, sink):
        """All that was acknowledged is there, once."""
        difference = self.compare(generator.ledger, sink)
        if difference["lost"] or difference["doubled"] or difference["unacknowledged"] > said["unanswered"]:
            raise systems.Failed(f"the ledgers do not agree: {difference}")
        return difference

    def null(self):
        """Messages a second with nothing between generator and sink: the limit of machine and tools."""
        start = self.fast.recipients()
        generator = Generator(self, FAST, "--to", "u@fast.example", "--sessions", 50, "--seconds", self.options.seconds)
        said = generator.finish()
        until_arrived(self.fast, start + said["recipients"], generator.began, lambda: 0)
        self.must_have_arrived(generator, said, self.fast)
        return said["messages_per_s"]

    def must_be_queued(self, generators, relay, sink):
        """What these had acknowledged and did not reach that sink is in the queue, and nothing else is. How many. Deliveries may go on while it is looked at."""
        def agree():
            before = relay.left()
            differences = [self.compare(g.ledger, sink) for g in generators]
            if any(d["doubled"] or d["unacknowledged"] for d in differences):
                raise systems.Failed(f"the ledgers do not agree: {differences}")
            lost, after = sum(d["lost"] for d in differences), relay.left()
            return [lost] if after <= lost <= before else None
        try:
            return core.wait_for("what was acknowledged is at the sink or queued", agree, 10)[0]
        except AssertionError as why:
            raise systems.Failed(str(why)) from why

    def fill(self, relay, messages, destinations, settle=True):
        """Put so many messages for that many of the lot into the queue, and wait until it has done with them what it can for now. The generator."""
        generator = Generator(self, relay.address, "--messages", messages, "--sessions", min(50, messages), "--to", "u@d{n}.lot.example",
                              "--cycle", destinations, "--size", self.options.fill_size)
        said = generator.finish()
        if said["acknowledged"] != messages:
            raise systems.Failed(f"the queue could not be filled: {said}")
        if settle:
            relay.settle()
        return generator

    def flow(self, relay, *options, sessions=50):
        """Mail to the fast destination for a while, 4 KiB each unless told otherwise; its row. It counts only when the ledgers agree."""
        start, cpu, written = self.fast.recipients(), meters.tree_cpu_s(relay.pid), self.disk.read()[0]
        busy, own = meters.machine_busy_s(), own_cpu_s() + meters.tree_cpu_s(self.fast.process.pid)
        generator = Generator(self, relay.address, "--to", "u@fast.example", "--sessions", sessions, "--seconds", self.options.seconds, *options)
        said = generator.finish()
        elapsed = until_arrived(self.fast, start + said["recipients"], generator.began, relay.left) - generator.began
        cpu, written = meters.tree_cpu_s(relay.pid) - cpu, self.disk.read()[0] - written
        own = own_cpu_s() + meters.tree_cpu_s(self.fast.process.pid) - own
        others = (meters.machine_busy_s() - busy - cpu - own - said["cpu_us"] / 1e6) / elapsed
        count, latency = said["acknowledged"], said["latency"]["message"]
        return {"messages": count, "seconds": elapsed, "rate": count / elapsed, "cpu_us": cpu / count * 1e6, "written": written,
                **{key: latency[key] for key in ("p50_us", "p99_us", "p99_9_us", "most_us")}, "others_share": max(0.0, others),
                "ledgers": self.must_have_arrived(generator, said, self.fast)}


def own_cpu_s():
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
