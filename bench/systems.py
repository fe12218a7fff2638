"""What is compared: a generator straight into a sink, Bulkhead between the two, Postfix between the two; bench/peers.py adds others. Each has a sink of its
own that stays for the whole run, so that connections are reused from block to block as they would be in service."""
import os
import pathlib
import subprocess

import meters
from harness import postfix

# The load comes from 127.0.0.1; every sink is on 127.0.0.2, so that no system can mistake it for itself.
PORTS = {"null": (2601, 2601), "bulkhead": (2502, 2602), "postfix": (2503, 2603), "exim": (2504, 2604), "opensmtpd": (2505, 2605)}

BULKHEAD = """config-version 1
hostname bulkhead.example
listen load {{ address 127.0.0.1:{listen}; trust 127.0.0.0/8 }}
route sink {{ match any; relay smtp://127.0.0.2:{sink} }}
queue {{ path {folder}/queue }}
control {{ socket {folder}/control.sock }}
"""

# Postfix at its best for this load: nothing waits on purpose, nothing is limited below the load's sessions, connections to the sink are kept.
POSTFIX = """
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_relay_restrictions = permit_mynetworks, reject
in_flow_delay = 0
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_event_limit_exceptions = static:all
default_process_limit = {processes}
initial_destination_concurrency = {concurrency}
default_destination_concurrency_limit = {concurrency}
smtp_connection_cache_destinations = 127.0.0.2
smtp_connection_reuse_time_limit = 3600s
smtp_tls_security_level = none
smtpd_tls_security_level = none
queue_run_delay = 300s
minimal_backoff_time = 300s
maximal_backoff_time = 4000s
message_size_limit = {size_max}
"""


class Memory:
    """Where the sinks' counters go: memory, since the disk is what is measured."""

    def __init__(self, world):
        self.folder = world.folder / "memory"
        self.folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(self.folder)], check=True)
        self.add = world.add


class SmtpSink(postfix.SmtpSink):
    """smtp-sink, and how much it has taken."""

    tools = "smtp-source and smtp-sink"

    def __init__(self, memory, address):
        super().__init__(memory, address, backlog=1024)

    def arrived(self):
        """Messages since it was started; it rewrites one line of counters for each."""
        with open(self.output, "rb") as f:
            f.seek(max(0, f.seek(0, os.SEEK_END) - 400))
            tail = f.read()
        lines = [part for part in tail.split(b"\r") if b"mesg=" in part]
        return int(lines[-1].rsplit(b"mesg=", 1)[1]) if lines else 0


class System:
    """One way from the generator to a sink. `pid` is the root of the processes in between, None when there are none. `sink` makes its sink."""

    pid = None

    def __init__(self, name, memory, sink=SmtpSink):
        self.name = name
        self.listen_port, self.sink_port = PORTS[name]
        self.sink = sink(memory, f"127.0.0.2:{self.sink_port}")
        self.address = "127.0.0.2" if name == "null" else "127.0.0.1"

    def arrived(self):
        """Messages that the sink has taken since it was started."""
        return self.sink.arrived()

    def cpu_s(self):
        return meters.tree_cpu_s(self.pid) if self.pid else 0.0

    def sink_cpu_s(self):
        return meters.tree_cpu_s(self.sink.process.pid)

    def left(self):
        """Messages still queued."""
        return 0

    def groups(self):
        """Commits of the log, for a system that tells."""
        return None

    def version(self):
        return self.sink.tools

    def configuration(self):
        return ""


class Bulkhead(System):
    def __init__(self, world, memory, options, sink=SmtpSink):
        super().__init__("bulkhead", memory, sink)
        folder = world.folder / "bulkhead"
        config = BULKHEAD.format(listen=self.listen_port, sink=self.sink_port, folder=folder) + options.extra + "\n"
        self.daemon = world.mtad("bulkhead", build=options.build, config=config, prefix=options.prefix.split())
        self.pid = self.daemon.process.pid

    def left(self):
        return self.daemon.count()["messages"]

    def groups(self):
        return find(self.daemon.status(), "groups")

    def version(self):
        return meters.first_line([str(self.daemon.build / "mta/master/mtad"), "--version"])

    def configuration(self):
        return self.daemon.config_text


class Postfix(System):
    def __init__(self, world, memory, options, sink=SmtpSink):
        super().__init__("postfix", memory, sink)
        more = POSTFIX.format(processes=max(200, 3 * options.sessions), concurrency=options.postfix_concurrency,
                              size_max=max(10_000_000, 2 * options.size))
        self.daemon = postfix.Postfix(world, f"127.0.0.1:{self.listen_port}", main=more, relayhost=f"[127.0.0.2]:{self.sink_port}")
        self.pid = self.daemon.process.pid

    def left(self):
        return sum(len(files) for queue in ("maildrop", "incoming", "active", "deferred")
                   for _, _, files in os.walk(self.daemon.folder / "spool" / queue))

    def version(self):
        postconf = [postfix.tool("postconf"), "-c", str(self.daemon.folder / "etc"), "-h", "mail_version"]
        return "Postfix " + meters.first_line(postconf, postfix.environment())

    def configuration(self):
        return (self.daemon.folder / "etc/main.cf").read_text() + "\n# master.cf\n" + (self.daemon.folder / "etc/master.cf").read_text()


def find(tree, key):
    """The first value of that key anywhere in parsed JSON."""
    if isinstance(tree, dict):
        if key in tree:
            return tree[key]
        tree = list(tree.values())
    if isinstance(tree, list):
        for part in tree:
            got = find(part, key)
            if got is not None:
                return got
    return None


def make(name, world, memory, options, sink=SmtpSink):
    if name == "bulkhead":
        return Bulkhead(world, memory, options, sink)
    if name == "postfix":
        return Postfix(world, memory, options, sink)
    return System(name, memory, sink)


def built(folder):
    """Whether that build has what is run here."""
    return all((pathlib.Path(folder) / p).exists() for p in ("mta/master/mtad", "tools/mtactl"))


class Failed(Exception):
    """A run that says nothing: mail was lost, doubled or stuck."""
