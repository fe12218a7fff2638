"""mtabench against peers of other makers, and Bulkhead between its two ends."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import xml.dom.minidom

from harness import mtabench, postfix, smtp
from harness.core import BUILD, ROOT, limit, wait_for

sys.path.append(str(ROOT / "bench"))
import growth  # noqa: E402
import meters  # noqa: E402
import plot  # noqa: E402
import recorded  # noqa: E402

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


def stress(world, cells, *options):
    """bench/stress at a size that takes seconds: (rows, table, folder). Structure and ledgers are looked at, never times."""
    mtabench.need_ring()
    out = world.folder / "out"
    done = subprocess.run([ROOT / "bench/stress", "--build", BUILD, "--cells", cells, "--blocks", "1", "--seconds", "0.3", "--out", out,
                           "--folder", world.folder, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    report = json.loads((out / "report.json").read_text())
    assert report["failures"] == [] and all(rate > 0 for rate in report["null"]) and report["rows"] == rows
    for row in rows:
        if "ledgers" in row:
            assert row["ledgers"]["lost"] == row["ledgers"]["doubled"] == 0 < row["ledgers"]["seen"], row
    return rows, (out / "table.md").read_text(), out


@limit(240)
def test_stress_deep_queues(world):
    """Every size has a row; what waits is in the queue, all of it; the curves have an exponent."""
    rows, table, out = stress(world, "depth", "--variants", "many", "--sizes", "depth=0,20,60,200")
    assert [(r["cell"], r["variant"], r["n"], r["queued"]) for r in rows] == [("depth", "many", n, n) for n in (0, 20, 60, 200)]
    assert all(r["memory"] > 0 and r["log"] > 0 and r["index"] > 0 for r in rows), rows
    assert re.search(r"^- many: index MiB grows with the power [-\d.]+ of messages queued$", table, re.M), table
    svg = xml.dom.minidom.parse(str(out / "depth-index.svg"))
    assert len(svg.getElementsByTagName("circle")) == 4 and "many: n^" in svg.toxml(), svg.toxml()


@limit(240)
def test_stress_refused_mail_and_a_restart(world):
    rows, _, _ = stress(world, "depth,restart", "--variants", "refused,killed", "--sizes", "depth=40", "--sizes", "restart=40")
    assert [(r["cell"], r["variant"], r["n"], r["queued"]) for r in rows] == [("depth", "refused", 40, 40), ("restart", "killed", 40, 40)]
    assert all(rows[1][key] > 0 for key in ("banner_s", "ready_s", "fresh_s", "queued_s")), rows[1]


@limit(240)
def test_stress_many_destinations(world):
    """Tarpits hold a session each while fast mail passes; all that returned got its mail once."""
    rows, _, _ = stress(world, "tarpits,returning", "--variants", "raised,flushed", "--sizes", "tarpits=15", "--sizes", "returning=15", "--rate", "50")
    assert [(r["cell"], r["n"]) for r in rows] == [("tarpits", 15), ("returning", 15)]
    assert rows[0]["sessions"] == rows[0]["queued"] == 15 and rows[1]["ledgers"]["seen"] == 15 and rows[1]["drain_s"] > 0, rows


@limit(240)
def test_stress_clients_sizes_and_compaction(world):
    rows, table, _ = stress(world, "big,idle,compaction,sessions", "--sizes", "big=2", "--sizes", "idle=30", "--sizes", "sessions=1,3", "--rate", "50")
    assert [(r["cell"], r["variant"], r["n"]) for r in rows] == [
        ("big", "usual", 2), ("big", "steady", 2), ("idle", "usual", 30), *(("compaction", v, 70) for v in ("usual", "compacting")),
        *(("sessions", "usual", n) for n in (1, 3))]
    on_disk = os.major(os.stat(world.folder).st_dev) != 0  # else there is no device that counts what is written
    assert all(r["big_ledgers"]["lost"] == 0 < r["big_messages"] and (r["written_ratio"] > 0) == on_disk for r in rows[:2]), rows[:2]
    assert rows[2]["sessions"] >= 30, rows[2]
    assert rows[3]["queued"] == 0 < rows[4]["queued"], rows[3:5]
    assert all(f"### {cell}: " in table for cell in ("big", "idle", "compaction", "sessions")), table


def test_stress_tells_what_failed_and_goes_on(world):
    """A system that takes no mail of 4 KiB: each size is a failure of its own, in the rows, the table and the exit code."""
    mtabench.need_ring()
    out = world.folder / "out"
    done = subprocess.run([ROOT / "bench/stress", "--build", BUILD, "--cells", "sessions", "--sizes", "sessions=1,2", "--seconds", "0.2", "--out", out,
                           "--folder", world.folder, "--extra", "limits { message-size 2K }"], capture_output=True, text=True)
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]
    assert done.returncode == 1 and [r["n"] for r in rows] == [1, 2] and all("no message was taken" in r["failed"] for r in rows), (done, rows)
    assert "**usual 2 failed**" in (out / "table.md").read_text()


def test_stress_refuses_what_it_does_not_know(world):
    for wrong in (["--cells", "bogus"], ["--sizes", "bogus=1"], ["--sizes", "depth=x"], ["--variants", "bogus"]):
        assert subprocess.run([ROOT / "bench/stress", *wrong], capture_output=True).returncode == 2, wrong
    assert "restart" in subprocess.run([ROOT / "bench/stress", "--list"], capture_output=True, text=True, check=True).stdout


def test_exponent_of_growth(world):
    """Of exact powers, and None where two points would fit anything."""
    for power in (0, 0.5, 1, 2):
        found = growth.exponent([(0, 7), *((n, 3 * n ** power) for n in (10, 100, 10_000))])
        assert abs(found - power) < 1e-9, (power, found)
    assert growth.exponent([(0, 1), (10, 2), (100, 3)]) is None and growth.exponent([(10, 1), (100, -1), (1000, 2)]) is None


def test_curves_of_any_values_are_svg(world):
    path = world.folder / "curves.svg"
    for series in ({"a": [(0, 1, 1, 2), (10, 5, 4, 9)], "b<": [(10, 1e6, 1, 1e7)]}, {"a": [(5, 0, 0, 0)]}, {"a": [(1, -3, -5, 2), (2, -1, -1, -1)]}):
        plot.curves(path, "title", "n", series)
        svg = xml.dom.minidom.parse(str(path))
        assert len(svg.getElementsByTagName("circle")) == sum(map(len, series.values()))


def test_meters_see_memory_and_connections(world):
    used = meters.memory(os.getpid())
    assert used["own"] > 1 << 20 and used["files"] > 0, used
    with socket.create_server(("127.0.0.1", 2526)) as server, socket.create_connection(("127.0.0.1", 2526)):
        server.accept()[0].close()
        assert meters.clients("127.0.0.1:2526") == 0
    mtabench.Sink(world, listen="127.0.0.2:2527")
    with socket.create_connection(("127.0.0.2", 2527)) as one, socket.create_connection(("127.0.0.2", 2527)) as two:
        assert one.recv(3) == two.recv(3) == b"220" and meters.clients("127.0.0.2:2527") == 2 and meters.clients("127.0.0.1:2527") == 0


def report(load, **ratios):
    return {"options": load, "machine": {"cpu": "x"}, "rows": [], "medians": {"null": {"rate": 9.0, "to_null": 1.0}, "bulkhead": ratios}}


def test_ratios_are_held_against_the_last_record_of_the_load(world):
    """The youngest of the same load counts; a fall within the tolerance is none; the record in the repository can be read."""
    load = {"sessions": 50, "size": 4096, "new_connections": False, "postfix_concurrency": 20}
    for name, content in (("2026-01-01T0000", report(load, to_null=0.5)), ("2026-01-02T0000", report(load, to_null=0.8, to_postfix=10.0)),
                          ("2026-01-03T0000", report(dict(load, size=1), to_null=0.9))):
        (world.folder / f"{name}.json").write_text(json.dumps(content))
    name, before = recorded.last(world.folder, load)
    assert name == "2026-01-02T0000.json" and recorded.last(world.folder, dict(load, sessions=1)) is None
    said, fell = recorded.lines(name, before, report(load, to_null=0.7, to_postfix=8.0), 0.15)
    assert [c[:2] for c in fell] == [("bulkhead", "to_postfix")], fell
    assert [("FELL" in line) for line in said] == [False, False, True], said
    assert recorded.lines(name, before, report(load, to_null=0.69, to_postfix=8.6), 0.15)[1] == []
    assert recorded.lines(name, before, report(load), 0.15) == ([f"against the record {name}:", "  no ratio that both have"], [])
    assert recorded.last(ROOT / "bench/results", load)[1]["medians"]["bulkhead"]["to_null"] > 0
