"""mtabench against peers of other makers, and Bulkhead between its two ends."""
import json
import os
import re
import signal
import socket
import subprocess
import xml.dom.minidom

from harness import mtabench, postfix, smtp
from harness.core import BUILD, ROOT, limit, wait_for

TOOL = BUILD / mtabench.TOOL


def clean(difference):
    return not any(difference[k] for k in ("lost", "doubled", "unacknowledged"))


def round_trip(world, target, sink, *options, **more):
    """Send, wait until the sink has it, compare; (what the generator says, the difference)."""
    ledger, before = world.folder / "sent", sink.arrived()
    said = mtabench.send(target, "--ledger", ledger, *options, **more)
    wait_for("the sink has all", lambda: sink.arrived() >= before + said["acknowledged"], 60)
    return said, mtabench.compare(ledger, sink.save())


@limit(120)
def test_generator_straight_to_sink_in_every_way(world):
    sink = mtabench.Sink(world)
    ways = [["--pipelining", "off"], ["--pipelining", "flight"], ["--pipelining", "full"], ["--per-connection", 1], ["--per-connection", 3, "--pipelining", "off"],
            ["--size", "512:50,4k:40,200k:2"], ["--recipients", 30, "--to", "a{r}@d{n}.example", "--to", "b@e.example", "--cycle", 11],
            ["--source", "127.8.0.0/16", "--per-connection", 20], ["--rate", 5000], ["--rate", 5000, "--per-connection", 1], ["--idle", 20], ["--sessions", 300]]
    for way in ways:
        said, difference = round_trip(world, "127.0.0.2:25", sink, "--messages", 400, *way)
        recipients = 400 * (30 if "--recipients" in way else 1)
        assert said["acknowledged"] == difference["seen"] == 400 and clean(difference), (way, said, difference)
        assert said["recipients"] == difference["seen_recipients"] == recipients, (way, said, difference)
        for phase in ("connect", "greeting", "end_of_data", "message"):
            h = said["latency"][phase]
            assert 0 < h["count"] and h["least_us"] <= h["p50_us"] <= h["p90_us"] <= h["p99_us"] <= h["p99_9_us"] <= h["most_us"], (way, phase, h)
        if "--per-connection" in way:
            assert said["connections"] >= 400 / way[way.index("--per-connection") + 1], said
    arrived = sink.arrived(), sink.recipients()
    totals = sink.finish()
    assert arrived == (totals["messages"], totals["recipients"]), (arrived, totals)
    assert totals["messages"] == totals["ids"] == 400 * len(ways) and totals["unnamed"] == totals["damaged"] == 0, totals


@limit(120)
def test_bulkhead_between_generator_and_sink(world):
    sink, mta = mtabench.Sink(world), world.mtad()
    for way in (["--messages", 2000, "--sessions", 20], ["--messages", 200, "--recipients", 5, "--to", "u{r}@to.example", "--size", "1k:5,100k:1"],
                ["--messages", 300, "--rate", 500, "--per-connection", 2]):
        said, difference = round_trip(world, "127.0.0.1:25", sink, *way)
        assert said["acknowledged"] == way[1] and clean(difference), (said, difference)
    mta.wait_empty()
    assert sink.finish()["damaged"] == 0
    assert mta.status()["audit"]["balanced"] is True


def test_sink_of_other_makers_gets_it(world):
    """smtp-sink with and without PIPELINING and EHLO, and one that hangs up."""
    mtabench.need_ring()
    kinds = {"127.0.1.1": [], "127.0.1.2": ["-p"], "127.0.1.3": ["-e"], "127.0.1.4": ["-8", "-N"], "127.0.1.5": ["-w", "1"], "127.0.1.6": ["-f", "EHLO"]}
    for address, options in kinds.items():
        sink = postfix.SmtpSink(world, listen=f"{address}:25", options=options, dump=True)
        count = 5 if "-w" in options else 60
        said = mtabench.send(f"{address}:25", "--messages", count, "--sessions", 3)
        assert said["acknowledged"] == count and said["lost_connections"] == 0, (address, said)
        assert len(os.listdir(sink.folder)) == count, address
    refusing = postfix.SmtpSink(world, listen="127.0.1.7:25", options=["-r", "."])
    said = mtabench.send("127.0.1.7:25", "--messages", 20, code=1)
    assert said["refused_for_now"] == 20 and said["acknowledged"] == 0, said
    refusing.stop()


def test_postfix_takes_it(world):
    mtabench.need_ring()
    mail = postfix.Postfix(world)
    said = mtabench.send("127.0.0.2:25", "--messages", 50, "--sessions", 5, "--to", "a{n}@post.example")
    assert said["acknowledged"] == 50, said
    arrived = mail.wait_arrived(50)
    ids = {re.search(rb"^X-Mtabench-Id: (\S+)", m, re.M).group(1) for m in arrived}
    assert len(ids) == 50 and all(m.rstrip().endswith(re.search(rb"^X-Mtabench-Id: (\S+)", m, re.M).group(1)) for m in arrived)


def test_clients_of_other_makers_reach_the_sink(world):
    sink = mtabench.Sink(world, listen="127.0.0.2:25")
    postfix.source("127.0.0.2:25", 300, sessions=5)
    postfix.source("127.0.0.2:25", 100, sessions=5, reuse=False, recipients=3)
    for options in ([], ["--pipeline"], ["--protocol", "SMTP"]):
        done = subprocess.run(["swaks", "--server", "127.0.0.2", "--to", "a@to.example", "--body", ".\n..\nend\n", "--header", "X-Mtabench-Id: other-7", *options],
                              capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stdout
    assert smtp.Client(("127.0.0.2", 25), greet=None).say("HELO x")[0] == 250
    client = smtp.Client(("127.0.0.2", 25))  # Exim closes its side behind QUIT, and reads on
    client.raw(b"MAIL FROM:<>\r\nRCPT TO:<a@to.example>\r\nDATA\r\n")
    assert [client.reply()[0] for _ in range(3)] == [250, 250, 354]
    client.raw(b"x\r\n.\r\nQUIT\r\n")
    client.socket.shutdown(socket.SHUT_WR)
    assert [client.reply()[0] for _ in range(3)] == [250, 221, 0]
    totals = sink.finish()
    assert totals["messages"] == 404 and totals["recipients"] == 604 and totals["unnamed"] == 401 and totals["damaged"] == 3 and totals["ids"] == 1, totals


PERSONALITIES = {"slow.example": "slow=300ms", "tar.example": "tarpit=100ms", "later.example": "4xx", "never.example": "5xx", "late.example": "452-data",
                 "grey.example": "greylist=1s", "gone.example": "disconnect", "lategone.example": "disconnect-data", "rate.example": "ratelimit=20/s"}


@limit(120)
def test_personalities_behave_as_said(world):
    options = [word for domain, kind in PERSONALITIES.items() for word in ("--personality", f"{domain}={kind}")]
    sink = mtabench.Sink(world, options=options)

    def to(domain, *more, **how):
        return mtabench.send("127.0.0.2:25", "--messages", 6, "--sessions", 2, "--to", f"a@{domain}", *more, **how)

    assert to("fast.example")["acknowledged"] == 6
    slow = to("slow.example")
    assert slow["acknowledged"] == 6 and slow["latency"]["end_of_data"]["least_us"] >= 290000, slow
    tarpit = to("tar.example")
    assert tarpit["acknowledged"] == 6 and tarpit["latency"]["message"]["least_us"] >= 300000, tarpit
    assert to("later.example", code=1)["refused_for_now"] == 6
    assert to("never.example", code=1)["refused_for_good"] == 6
    late = to("late.example", code=1)
    assert late["refused_for_now"] == 6 and late["latency"]["end_of_data"]["count"] == 6, late
    assert to("grey.example", code=1)["refused_for_now"] == 6
    grey = to("grey.example", "--from", "other@from.example", "--resend", "400ms")
    assert grey["acknowledged"] == 6 and grey["resent"] >= 6, grey
    gone = to("gone.example", "--give-up", "2s", code=1)
    assert gone["acknowledged"] == gone["unanswered"] == 0 and gone["lost_connections"] >= 2, gone
    assert to("lategone.example", code=1)["unanswered"] == 6
    rate = mtabench.send("127.0.0.2:25", "--messages", 200, "--to", "a@rate.example", code=1)
    assert rate["acknowledged"] >= 20 and rate["refused_for_now"] > 0, rate
    totals = sink.finish()
    assert totals["messages"] == 6 * 4 + rate["acknowledged"] and totals["refused_messages"] == 6, totals


def test_personality_of_an_own_address(world):
    mtabench.Sink(world, listen="0.0.0.0:25", options=["--personality", "[127.0.0.5]=tarpit=200ms", "--personality", "[127.0.0.6]=554"])
    assert mtabench.send("127.0.0.4:25", "--messages", 5)["acknowledged"] == 5
    assert mtabench.send("127.0.0.5:25", "--messages", 1)["latency"]["greeting"]["least_us"] >= 190000
    assert mtabench.send("127.0.0.6:25", "--messages", 1, "--give-up", "1s", code=1)["acknowledged"] == 0


def test_open_loop_counts_a_stall_in_every_message_behind_it(world):
    """One session, an answer each 50 ms, a message due each 10 ms: the last of 20 was due long before it could begin."""
    mtabench.Sink(world, options=["--personality", "*=slow=50ms"])
    closed = mtabench.send("127.0.0.2:25", "--messages", 20, "--sessions", 1, "--pipelining", "flight")
    opened = mtabench.send("127.0.0.2:25", "--messages", 20, "--sessions", 1, "--pipelining", "flight", "--rate", 100)
    assert closed["loop"] == "closed" and opened["loop"] == "open"
    assert opened["latency"]["message"]["most_us"] >= 20 * 50000 - 19 * 10000
    assert closed["latency"]["message"]["p50_us"] < opened["latency"]["message"]["p50_us"]


def test_compare_finds_what_is_lost_and_doubled(world):
    """The sink's ledger is damaged on purpose."""
    sink = mtabench.Sink(world)
    ledger = world.folder / "sent"
    mtabench.send("127.0.0.2:25", "--messages", 100, "--run", "abc", "--ledger", ledger)
    assert clean(mtabench.compare(ledger, sink.save()))
    seen = world.folder / "seen"
    seen.write_text(ledger.read_text().replace("abc 1 100 1", "abc 1 49 1\nabc 51 60 2\nabc 61 101 1\nother 1 5 1"))
    difference = mtabench.compare(ledger, seen)
    assert (difference["lost"], difference["doubled"], difference["unacknowledged"]) == (1, 10, 1), difference
    text = subprocess.run([TOOL, "compare", ledger, seen], capture_output=True, text=True)
    assert text.returncode == 1 and "abc-000000000050: 1 recipients acknowledged, 0 seen" in text.stdout, text.stdout
    assert subprocess.run([TOOL, "compare", ledger, ROOT / "README.md"], capture_output=True).returncode == 1


def test_progress_table_and_a_clean_end_by_a_signal(world):
    mtabench.need_ring()
    sink = subprocess.Popen([TOOL, "sink", "127.0.0.2:25"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "ready" in sink.stderr.readline()
    source = subprocess.Popen([TOOL, "send", "--seconds", "1h", "127.0.0.2:25"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [source.stderr.readline() for _ in range(2)]
    assert all(re.match(r" +\d+ s +[\d,]+/s  acknowledged [\d,]+  sessions 10 .* p50 [\d.]+ .?s  p99 [\d.]+ .?s$", line) for line in lines), lines
    source.send_signal(signal.SIGINT)
    table = source.communicate(timeout=30)[0]
    assert source.returncode == 0 and "messages a second" in table and "p99.9" in table and "unanswered" not in table, table
    acknowledged = re.search(r"^acknowledged +([\d,]+)$", table, re.M).group(1)
    sink.send_signal(signal.SIGINT)
    assert re.search(rf"^messages +{acknowledged}$", sink.communicate(timeout=30)[0], re.M)


def test_wrong_usage_is_told(world):
    mtabench.need_ring()
    cases = [[], ["nothing"], ["send"], ["send", "127.0.0.1"], ["send", "--messages", "1"], ["send", "--messages", "0", "127.0.0.1"], ["send", "--size", "5", "127.0.0.1"],
             ["send", "--messages", "1", "--starttls", "127.0.0.1"], ["send", "--bogus"], ["sink"], ["sink", "host"], ["sink", "--personality", "x", "127.0.0.1"],
             ["compare", "one"]]
    for case in cases:
        done = subprocess.run([TOOL, *case], capture_output=True, text=True, timeout=10)
        assert done.returncode == 2 and done.stderr.startswith(("mtabench", "mtabench:")), (case, done)
    without_tls = subprocess.run([TOOL, "send", "--messages", "1", "--starttls", "127.0.0.1"], capture_output=True, text=True)
    assert "without TLS" in without_tls.stderr
    nobody = subprocess.run([TOOL, "send", "--quiet", "--messages", "1", "127.0.0.9:25"], capture_output=True, text=True, timeout=30)
    assert nobody.returncode == 1 and "refused" in nobody.stderr, nobody


def test_io_uring_refused_is_said_in_words(world):
    done = subprocess.run(["python3", "-B", ROOT / "tests/harness/no_io_uring.py", TOOL, "sink", "127.0.0.2:25"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "io_uring" in done.stderr, done


def test_manual_knows_each_option(world):
    page = (ROOT / "docs/man/mtabench.1").read_text()
    for word in ("send", "sink"):
        text = subprocess.run([TOOL, word, "--help"], capture_output=True, text=True).stdout
        for option in set(re.findall(r"--([a-z-]+)", text)):
            assert f"Fl -{option}" in page, f"--{option} of mtabench {word} is not in mtabench(1)"


@limit(300)
def test_compare_measures_and_writes(world):
    """A short run with one system: table, plots, rows, and what it says of durability."""
    mtabench.need_ring()
    postfix.needs()
    out = world.folder / "out"
    done = subprocess.run([ROOT / "bench/compare", "--build", BUILD, "--cells", "s5,r10", "--only", "bulkhead", "--blocks", "2", "--seconds", "0.5", "--out", out,
                           "--folder", world.folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    assert [(r["cell"], r["system"]) for r in rows] == [(c, s) for c in ("s5", "r10") for s in ("null", "bulkhead", "bulkhead", "null")]
    assert all(r["ledgers"]["lost"] == r["ledgers"]["doubled"] == 0 < r["messages"] for r in rows)
    table = (out / "table.md").read_text()
    assert re.search(r"^\| bulkhead \|.* yes \|$", table, re.M) and "NO" not in table, table
    for name in ("rate", "latency-p50", "latency-p99", "cpu", "flushes", "bytes"):
        assert xml.dom.minidom.parse(str(out / f"{name}.svg")).documentElement.tagName == "svg"
