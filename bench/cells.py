"""The cells of bench/stress: what happens to a Bulkhead that has a great many of something. A cell is a function of (stage, variant, n) that yields a row
for each block. Where something is compared with the same without the many, two systems run side by side, one of them with nothing in hand, and take turns."""
import re
import socket
import time
import typing

import loads
import meters
import systems
from harness import core
from loads import Generator, Watch

DESTINATIONS_MAX = 10_000  # over which the many of a queue are spread
SESSIONS_BIG, BIG_A_SECOND, DEFERRED_SHARE = 4, 4, 0.1
RETRY_SOON_S, DUE_IN_S = 5, 3
STOPPED_A_SECOND = 100_000  # messages for which an orderly end may take a second
SPARE = 1000  # how far limits are above what a cell has of it
LONG = "1h"


class Cell(typing.NamedTuple):
    what: str
    variants: dict     # name -> what it is
    sizes: list        # of n, usually
    unit: str          # of n
    run: typing.Callable
    columns: list      # of its table: names in METRICS
    growing: list      # metrics that are plotted against n, with an exponent


# name in a row -> (title, divisor for display, format)
METRICS = {
    "rate": ("messages/s", 1, ".0f"),
    "rate_alone": ("alone", 1, ".0f"),
    "share": ("of alone", 1, ".3f"),
    "most_rate": ("the most/s", 1, ".0f"),
    "share_of_most": ("of the most", 1, ".2f"),
    "p50_us": ("p50 ms", 1e3, ".2f"),
    "p99_us": ("p99 ms", 1e3, ".2f"),
    "p99_9_us": ("p99.9 ms", 1e3, ".2f"),
    "most_us": ("longest ms", 1e3, ".1f"),
    "p99_alone_us": ("p99 alone ms", 1e3, ".2f"),
    "p99_ratio": ("p99 to alone", 1, ".2f"),
    "message_us": ("us a message", 1, ".0f"),
    "memory": ("memory MiB", 1 << 20, ".1f"),
    "memory_more": ("MiB for the many", 1 << 20, ".1f"),
    "memory_each": ("KiB each", 1024, ".2f"),
    "index": ("index MiB", 1 << 20, ".1f"),
    "log": ("log MiB", 1 << 20, ".1f"),
    "fill_s": ("filled and quiet in s", 1, ".1f"),
    "banner_s": ("first 220 s", 1, ".3f"),
    "start_cpu_s": ("CPU s until then", 1, ".2f"),
    "ready_s": ("ready s", 1, ".3f"),
    "fresh_s": ("first fresh s", 1, ".3f"),
    "queued_s": ("first queued s", 1, ".3f"),
    "sessions": ("sessions open", 1, ".0f"),
    "drain_s": ("drained in s", 1, ".2f"),
    "drain_rate": ("drained/s", 1, ".0f"),
    "behind_s": ("fresh mail behind by s", 1, ".2f"),
    "written_ratio": ("written to content", 1, ".2f"),
    "checkpoints": ("checkpoints", 1, ".0f"),
    "segments": ("segments", 1, ".0f"),
}


def blocks(stage, alone, beside):
    """In turn, A B, B A, ...: (block, the row alone, the row beside)."""
    for block in range(1, stage.options.blocks + 1):
        if block % 2:
            first = alone()
            yield block, first, beside()
        else:
            first = beside()
            yield block, alone(), first


def against(alone, beside):
    """What is told of two flows side by side."""
    return {**beside, "rate_alone": alone["rate"], "share": beside["rate"] / alone["rate"], "p99_alone_us": alone["p99_us"],
            "p99_ratio": beside["p99_us"] / alone["p99_us"], "message_us": 1e6 / beside["rate"],
            "others_share": max(alone["others_share"], beside["others_share"])}


def warm(stage, relay):
    """The relay, after a run: what it keeps for a load, memory above all, it has now."""
    stage.flow(relay)
    relay.settle()
    return relay


def depth(stage, variant, n):
    """Fresh mail beside a deep queue. Where nobody listens a destination waits as a whole; with `refused' each message has an answer and a time of its own."""
    if variant == "refused":
        stage.sink(loads.LOT, "--personality", "*=450")
    alone, deep = warm(stage, stage.relay()), warm(stage, stage.relay())
    empty, began = deep.memory(), time.monotonic()
    filled = [stage.fill(deep, n, 1 if variant == "one" else min(n, DESTINATIONS_MAX))] if n else []
    filled_s, more_memory = time.monotonic() - began, deep.memory() - empty
    for block, one, other in blocks(stage, lambda: stage.flow(alone), lambda: stage.flow(deep)):
        deep.settle()
        yield {"block": block, **against(one, other), **deep.sizes(), "memory_more": more_memory, "fill_s": filled_s,
               "queued": stage.must_be_queued(filled, deep, stage.fast)}
    alone.end()
    deep.end()


def greets(port):
    """Whether a client is greeted there."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=loads.LATE_S) as s:
            return s.recv(3) == b"220"
    except OSError:
        return False


def due_soon(stage, relay, n):
    """One message for wait.example, refused for now, is made due in some seconds, so that the system can be stopped until then. The generator and the moment.
    Its id is read in the log, since a filter would walk through all n."""
    start = relay.daemon.log_path.stat().st_size
    generator = Generator(stage, relay.address, "--messages", 1, "--to", "u@wait.example")
    generator.finish()
    tried = core.wait_for("the message was tried", lambda: re.search(r"(\w{16}): to=<u@wait\.example>.* status=deferred", relay.daemon.log(start)), 30)
    due = int(time.time()) + DUE_IN_S + n // STOPPED_A_SECOND
    relay.daemon.ctl("queue", "retry-at", f"@{due}", tried[1])
    return generator, due


def come_back(stage, relay, marker_sink):
    """Start it, and what came when, in seconds from there."""
    began, fresh_before = time.monotonic(), stage.fast.arrived()
    marker = Watch(marker_sink.arrived, began)
    relay.daemon.start(wait=False)
    banner = Watch(lambda: greets(relay.port), began)
    ready = Watch(lambda: "ready\n" in relay.daemon.log(relay.daemon.log_start), began)
    fresh = Watch(lambda: stage.fast.arrived() > fresh_before, began)
    banner_s, cpu_s = banner.seconds("a greeting"), meters.tree_cpu_s(relay.pid)
    generator = Generator(stage, relay.address, "--messages", 1, "--to", "u@fast.example")
    said = generator.finish()
    row = {"banner_s": banner_s, "start_cpu_s": cpu_s, "ready_s": ready.seconds("ready"), "fresh_s": fresh.seconds("a fresh message delivered"),
           "queued_s": marker.seconds("a queued message delivered")}
    stage.must_have_arrived(generator, said, stage.fast)
    return row


def restart(stage, variant, n):
    """A queue of n that wait, and one that is due when the system starts; it was stopped as one does, or killed."""
    relay = stage.relay()
    filled = [stage.fill(relay, n, min(n, DESTINATIONS_MAX))] if n else []
    for block in range(1, stage.options.blocks + 1):
        refusing = stage.sink(loads.WAIT, "--personality", "*=450")
        waiting, due = due_soon(stage, relay, n)
        relay.daemon.stop() if variant == "stopped" else relay.daemon.kill()
        refusing.stop()
        taking = stage.sink(loads.WAIT)
        time.sleep(max(0.0, due - time.time()))
        row = come_back(stage, relay, taking)
        difference = stage.compare(waiting.ledger, taking)
        if difference["lost"] or difference["doubled"]:
            raise systems.Failed(f"the ledgers do not agree: {difference}")
        relay.settle()
        taking.stop()
        yield {"block": block, **row, **relay.sizes(), "ledgers": difference, "queued": stage.must_be_queued(filled, relay, stage.fast)}
    relay.end()


def tarpits(stage, variant, n):
    """Fast mail beside n destinations that answer a line in minutes. With `raised' there are more connections out than those can take; else the default."""
    more = f"limits {{ connections-out {n + SPARE} }}" if variant == "raised" else ""
    lot = stage.sink(loads.LOT, "--personality", f"*=tarpit={stage.options.tarpit}", "--sessions", n + SPARE, "--timeout", LONG)
    alone, beside = warm(stage, stage.relay(more=more)), warm(stage, stage.relay(more=more))
    before = beside.memory()
    filled = [stage.fill(beside, n, n)]
    more_memory, opened = beside.memory() - before, max(1, meters.clients(loads.LOT))
    for block, one, other in blocks(stage, lambda: stage.flow(alone), lambda: stage.flow(beside)):
        yield {"block": block, **against(one, other), "sessions": meters.clients(loads.LOT), "memory": beside.memory(), "memory_more": more_memory,
               "memory_each": more_memory / opened, "queued": stage.must_be_queued(filled, beside, lot)}
    alone.end()
    beside.end()


def behind(generator, fast, start, rate, drained):
    """The most seconds by which mail of an open loop is late at its sink until drained(), and when that was."""
    worst = 0.0
    while not drained():
        due = (time.monotonic() - generator.began) * rate
        worst = max(worst, (due - (fast.recipients() - start)) / rate)
        time.sleep(loads.POLL_S)
    return worst, time.monotonic()


def all_there(sink, want):
    """A check whether all has arrived; Failed when for a long time nothing more does."""
    state = {"got": -1, "since": time.monotonic()}

    def check():
        got, now = sink.recipients(), time.monotonic()
        if got != state["got"]:
            state.update(got=got, since=now)
        elif now - state["since"] > loads.LATE_S:
            raise systems.Failed(f"{want - got} recipients are missing, and nothing came for {loads.LATE_S} s")
        return got >= want
    return check


def returning(stage, variant, n):
    """A message for each of n dead destinations, which then all live. They are tried again by their timers, or because the operator says so."""
    rate = stage.options.rate
    for block in range(1, stage.options.blocks + 1):
        relay = stage.relay(queue=f"retry {RETRY_SOON_S}s" if variant == "retried" else "retry 1h")
        filled = stage.fill(relay, n, n, settle=variant == "flushed")
        before = stage.flow(relay, "--rate", rate)
        start = stage.fast.recipients()
        fresh = Generator(stage, relay.address, "--to", "u@fast.example", "--sessions", 50, "--rate", rate, "--seconds", LONG)
        lot = stage.sink(loads.LOT)
        began = time.monotonic()
        if variant == "flushed":
            relay.daemon.ctl("queue", "flush")
        worst, ended = behind(fresh, stage.fast, start, rate, all_there(lot, n))
        said = fresh.end()
        loads.until_arrived(stage.fast, start + said["recipients"], fresh.began, relay.left)
        stage.must_have_arrived(fresh, said, stage.fast)
        difference = stage.must_have_arrived(filled, {"unanswered": 0}, lot)
        lot.stop()
        latency = said["latency"]["message"]
        yield {"block": block, "drain_s": ended - began, "drain_rate": n / (ended - began), "behind_s": worst, "p99_us": latency["p99_us"],
               "p99_alone_us": before["p99_us"], "p99_ratio": latency["p99_us"] / before["p99_us"], **relay.sizes(), "ledgers": difference}
        relay.end()


def big(stage, variant, n):
    """Small mail at a steady rate, with and without messages of n MiB that go another way: as fast as they can, or some a second."""
    lot, relay = stage.sink(loads.LOT), stage.relay()
    rate = ("--rate", stage.options.rate)
    totals = {}

    def beside():
        start, written = lot.recipients(), stage.disk.read()[0]
        pace = ("--rate", BIG_A_SECOND) if variant == "steady" else ()
        heavy = Generator(stage, relay.address, "--to", "u@big.lot.example", "--size", f"{n}M", "--sessions", SESSIONS_BIG, "--seconds", LONG, *pace)
        row = stage.flow(relay, *rate)
        said = heavy.end()
        loads.until_arrived(lot, start + said["recipients"], heavy.began, relay.left)
        totals.update(stage.must_have_arrived(heavy, said, lot))
        content = said["bytes"] + row["messages"] * 4096
        return {**row, "written_ratio": (stage.disk.read()[0] - written) / content, "big_messages": said["acknowledged"]}

    for block, one, other in blocks(stage, lambda: stage.flow(relay, *rate), beside):
        yield {"block": block, **against(one, other), **relay.sizes(), "big_ledgers": dict(totals)}
    lot.stop()
    relay.end()


def idle(stage, _, n):
    """A normal load beside n clients that say EHLO and nothing more."""
    more = f"limits {{ connections {n + SPARE} }}\ntimeouts {{ server-command 1h }}"
    alone, beside = warm(stage, stage.relay(more=more)), warm(stage, stage.relay(more=more))
    before = beside.memory()
    # The one session that mtabench wants sends to where nothing is counted.
    clients = Generator(stage, beside.address, "--idle", n, "--sessions", 1, "--rate", 1, "--seconds", LONG, "--to", "u@drop.example")
    core.wait_for(f"{n} clients are connected", lambda: meters.clients(beside.address) >= n, 120, 0.2)
    beside.settle()
    more_memory = beside.memory() - before
    for block, one, other in blocks(stage, lambda: stage.flow(alone), lambda: stage.flow(beside)):
        yield {"block": block, **against(one, other), "sessions": meters.clients(beside.address), "memory": beside.memory(), "memory_more": more_memory,
               "memory_each": more_memory / n}
    clients.end()
    alone.end()
    beside.end()


def compaction(stage, variant, n):
    """Accept latency at n percent of what is the most, while checkpoints run; with `compacting' a tenth of the mail stays and segments are small, so that
    what lives in old segments is written again all the time."""
    relay, staying = stage.relay(queue="retry 1h; segment-size 1M" if variant == "compacting" else "retry 1h"), []
    most = stage.flow(relay)["rate"]
    rate = most * n / 100
    stay = rate * DEFERRED_SHARE if variant == "compacting" else 0
    for block in range(1, stage.options.blocks + 1):
        before = relay.status()["storage"]
        if stay:
            staying.append(Generator(stage, relay.address, "--to", "u@d{n}.lot.example", "--cycle", 100, "--rate", f"{stay:.1f}", "--seconds",
                                     stage.options.seconds))
        row = stage.flow(relay, "--rate", f"{rate - stay:.1f}")
        if stay:
            staying[-1].finish()
        after = relay.status()["storage"]
        yield {"block": block, **row, "most_rate": most, "share_of_most": row["rate"] / most, "checkpoints": after["checkpoints"] - before["checkpoints"],
               "segments": after["log_segments"], "log": after["log_bytes"], "memory": relay.memory(),
               "queued": stage.must_be_queued(staying, relay, stage.fast)}
    relay.end()


def sessions(stage, _, n):
    """Clients at once."""
    relay = stage.relay()
    for block in range(1, stage.options.blocks + 1):
        row = stage.flow(relay, sessions=n)
        yield {"block": block, **row, "message_us": 1e6 / row["rate"], **relay.sizes()}
    relay.end()


FLOW = ["rate", "rate_alone", "share"]
CELLS = {
    "depth": Cell("fresh mail beside a deep queue", {"one": "one dead destination", "many": f"up to {DESTINATIONS_MAX:,} dead destinations",
                                                     "refused": "as many, and each message was refused for now"},
                  [0, 10_000, 100_000, 1_000_000], "messages queued", depth,
                  [*FLOW, "p99_us", "p99_alone_us", "memory", "memory_more", "index", "log", "fill_s"],
                  ["message_us", "memory_more", "index", "log", "fill_s"]),
    "restart": Cell("a start with a deep queue", {"stopped": "stopped in order before", "killed": "everything killed before"},
                    [0, 10_000, 100_000, 1_000_000], "messages queued", restart,
                    ["banner_s", "start_cpu_s", "ready_s", "fresh_s", "queued_s", "memory", "index", "log"], ["banner_s", "start_cpu_s", "ready_s", "fresh_s", "queued_s"]),
    "tarpits": Cell("fast mail beside destinations that hardly answer", {"raised": "connections-out above their number", "default": "connections-out as it comes"},
                    [100, 1000, 10_000], "destinations", tarpits,
                    [*FLOW, "p99_us", "p99_alone_us", "sessions", "memory", "memory_more", "memory_each"], ["message_us", "memory_more"]),
    "returning": Cell("dead destinations that all return at once", {"retried": f"tried every {RETRY_SOON_S} s", "flushed": "mtactl queue flush"},
                      [100, 1000, 10_000], "destinations", returning,
                      ["drain_s", "drain_rate", "behind_s", "p99_us", "p99_alone_us", "p99_ratio", "memory"], ["drain_s", "behind_s", "memory"]),
    "big": Cell("4 KiB messages beside large ones", {"usual": f"{SESSIONS_BIG} sessions of large ones, to another destination, as fast as they can",
                                                      "steady": f"{BIG_A_SECOND} of them a second"}, [25], "MiB a large message", big,
                ["rate", "p50_us", "p99_us", "p99_alone_us", "p99_ratio", "written_ratio", "memory"], []),
    "idle": Cell("50 sessions beside idle clients", {"usual": "clients that said EHLO"}, [100, 1000, 10_000], "clients", idle,
                 [*FLOW, "p99_us", "p99_alone_us", "memory", "memory_more", "memory_each"], ["message_us", "memory_more"]),
    "compaction": Cell("accept latency while checkpoints and compaction run", {"usual": "checkpoints alone", "compacting": "1 MiB segments, a tenth stays"},
                       [70], "percent of the most", compaction,
                       ["rate", "most_rate", "share_of_most", "p50_us", "p99_us", "p99_9_us", "most_us", "checkpoints", "segments", "log", "memory"], []),
    "sessions": Cell("clients that send at once", {"usual": "4 KiB, connections kept"}, [1, 5, 20, 50, 200, 1000], "sessions", sessions,
                     ["rate", "p50_us", "p99_us", "memory"], ["message_us", "p99_us", "memory"]),
}
