"""Death by octets: a remote that kills a worker is named, nobody else loses or repeats a message, and it is served alone until it behaves.

Deaths are real: the build has planted faults (option planted_fault), which a word of the remote sets off."""
import os
import pathlib
import signal
import subprocess
import threading

from harness import dns, killers, mail, smtp
from harness.core import BUILD, ROOT, Skip, limit, wait_for
from test_contract import compare

FAULT = pathlib.Path(os.environ.get("BULKHEAD_FAULT_BUILD", ROOT / "build-fault"))
STEP_WORDS = {"banner": "initial server greeting", "EHLO": "EHLO command", "MAIL": "MAIL FROM command", "RCPT": "RCPT TO command", "DATA": "DATA command",
              "DOT": "end of DATA command"}
LISTEN = "listen main { address 127.0.0.1:25; trust 127.0.0.0/8 }"


def faulty(world, **parts):
    if not (FAULT / "mta/master/mtad").exists():
        raise Skip("there is no build with planted faults: meson setup build-fault -Dplanted_fault=true")
    return world.mtad(build=FAULT, **dict(dict(listen=LISTEN, queue="retry 1s; expire 1d"), **parts))


def send(number, to, client=None, text=None):
    own = client or smtp.Client()
    code, reply = own.send("sender@from.example", to, text or mail.message(number))
    assert code == 250, reply
    if not client:
        own.say("QUIT")
        own.close()
    return reply.split()[-1]


def crashes(mta):
    return mta.ctl("crash", "list")


def check_once(mta, harbour, sent):
    """sent: {number: queue id}. Each has arrived, and more than once only where the log says so."""
    arrived, excused = harbour.arrived(), killers.duplicates_logged(mta.log())
    for number, queue_id in sent.items():
        times = arrived.get(str(number), 0)
        assert times >= 1, f"message {number} ({queue_id}) did not arrive"
        assert times == 1 or queue_id in excused, f"message {number} ({queue_id}) arrived {times} times, and the log does not say that it might"



def one_round(mta, harbour, number, killer, step, form, kills=1):
    """64 sessions in hand, one of them deadly; returns the record of the crash."""
    known = len(crashes(mta))
    harbour.round = killers.Round(harbour.count, killer, step, form, kills)
    client, sent = smtp.Client(), {}
    for n in range(1, harbour.count + 1):
        sent[number + n] = send(number + n, f"x@d{n}.test", client)
    client.close()
    assert harbour.round.fired.wait(30), f"the killer's turn did not come: {len(harbour.round.parked)} sessions are waiting"
    record = wait_for("a record of the crash", lambda: crashes(mta)[known:], 20)[0]
    mta.wait_empty(60)
    check_once(mta, harbour, sent)
    harbour.round = None
    return record


@limit(400)
def test_culprit_is_named_among_64_sessions(world):
    """The short form: 30 deaths, in every phase, by every kind of death that can be told apart."""
    harbour = killers.Harbour(64)
    mta = faulty(world, routes=killers.routes(64, "messages-per-connection 1"), extra="workers { delivery 1 }")
    forms = ["abort", "wild", "memory", "call"]
    for n in range(30):
        killer, step = 1 + (7 * n) % 64, killers.STEPS[n % len(killers.STEPS)]
        form = "loop" if n == 13 else forms[n % len(forms)]
        record = one_round(mta, harbour, 1000 * n, killer, step, form)
        assert record["named"] and record["remote_address"] == killers.address(killer), f"round {n} ({step}, {form}): {record}"
        assert record["step"] == STEP_WORDS[step] and record["hung"] == (form == "loop"), record
    status = mta.status()
    assert status["audit"]["balanced"] and status["crashes"]["records"] == 30, status
    send(99000, f"x@d{killer}.test")  # the last one killed at its dot, which was believed: it has not been asked since
    for number in {1 + (7 * n) % 64 for n in range(30)}:
        wait_for("it has behaved since, and is let go",
                 lambda n=number: f"quarantine: {killers.address(n)} has taken part in a session to its end" in mta.log(), 30, 0.1)


def test_mail_is_settled_by_phase(world):
    """One session alone with its killer: what becomes of its message follows from how far it was."""
    want = {"banner": "no mail was concerned", "EHLO": "deferred", "MAIL": "deferred", "RCPT": "deferred", "DATA": "deferred", "DOT": "delivered"}
    harbour = killers.Harbour(1)
    mta = faulty(world, routes=killers.routes(1, "messages-per-connection 1"), extra="workers { delivery 1 }")
    for n, (step, outcome) in enumerate(want.items()):
        record = one_round(mta, harbour, 100 * n, 1, step, "abort")
        assert record["mail"] in (outcome, "deferred" if step == "banner" else outcome), (step, record)
    assert harbour.arrived() == {str(100 * n + 1): 1 for n in range(len(want))}, "the 250 to the last one's dot was believed, and not repeated"


def test_answer_without_a_verdict_is_read_again(world):
    """Death between storing an answer and judging it: another process judges it; when that dies of it too, the log says maybe_duplicate."""
    words = [b"250 2.0.0 Ok planted-early-abort\r\n", b"250 2.0.0 Ok planted-early-abort planted-reread-abort\r\n"]
    sink = smtp.Sink(answers={"DOT": lambda s, line: words.pop(0) if words else None})
    mta = faulty(world, extra="workers { delivery 1 }")
    send(1, "x@to.example")
    record = wait_for("a record", lambda: crashes(mta), 20)[0]
    assert record["phase"] == "AFTER_UNJUDGED" and record["remote_address"] == "127.0.0.2", record
    mta.wait_empty(20)
    assert len(sink.messages) == 1 and "maybe_duplicate" not in mta.log() and "status=sent (250" in mta.log()
    wait_for("an idle pool", lambda: mta.status()["queue"]["connections"] == 0)
    send(2, "x@to.example")
    mta.wait_empty(40)
    assert "maybe_duplicate" in mta.log() and len(crashes(mta)) >= 2, crashes(mta)


def test_refusal_by_a_killer_is_not_believed(world):
    """A crash of ours bounces no mail: 554 and a crash, then 250."""
    said = []

    def dot(session, line):
        said.append(line)
        return b"554 5.7.1 planted-reply-abort\r\n" if len(said) == 1 else None
    sink = smtp.Sink(answers={"DOT": dot})
    mta = faulty(world)
    send(1, "x@to.example")
    mta.wait_empty(40)
    assert len(sink.messages) == 1 and "status=bounced" not in mta.log()


@limit(120)
def test_quarantine_grows_and_ends(world):
    """A remote that goes on killing is tried after longer and longer pauses; others are served meanwhile; when it behaves it is let go."""
    harbour = killers.Harbour(2)
    mta = faulty(world, routes=killers.routes(2), extra="workers { delivery 1 }")
    harbour.round = killers.Round(1, 1, "RCPT", "abort", kills=3)
    send(1, "x@d1.test")
    wait_for("two deaths", lambda: len(crashes(mta)) >= 2, 30)
    restarts = {r["index"]: r["restarts"] for r in mta.roles() if r["role"] == "deliver"}
    assert restarts[0] == 1 and restarts[1] >= 1, "the first death was a common worker's, the next that of the one in quarantine"
    began = len(harbour.sink.messages)
    for n in range(2, 12):
        send(n, "x@d2.test")
    harbour.sink.wait(began + 10, 10)
    assert mta.status()["crashes"]["quarantined"] == 1
    mta.wait_empty(60)
    assert [c["remote_address"] for c in crashes(mta)] == 3 * [killers.address(1)]
    assert all(c["index"] == 1 for c in crashes(mta)[1:]), "it killed only the quarantine worker again"
    times = [c["time"] for c in crashes(mta)]
    assert times[2] - times[1] >= 4, f"no growing pause: {times}"
    wait_for("it is let go", lambda: mta.status()["crashes"]["quarantined"] == 0)
    assert {r["index"]: r["restarts"] for r in mta.roles() if r["role"] == "deliver"}[0] == 1


@limit(120)
def test_scribble_over_the_box(world):
    """The box is ruined with the worker: nobody is named at first, everybody is served alone, and who kills alone is convicted."""
    harbour = killers.Harbour(12)
    mta = faulty(world, routes=killers.routes(12, "messages-per-connection 1"), extra="workers { delivery 1 }")
    harbour.round = killers.Round(12, 5, "MAIL", "scribble", kills=2)
    client, sent = smtp.Client(), {}
    for n in range(1, 13):
        sent[n] = send(n, f"x@d{n}.test", client)
    wait_for("a record", lambda: crashes(mta), 30)
    harbour.round.form = "abort"
    wait_for("a conviction", lambda: [c for c in crashes(mta) if c["named"]], 40)
    mta.wait_empty(60)
    first, named = crashes(mta)[0], [c for c in crashes(mta) if c["named"]]
    assert not first["named"] and first["suspects"] == 12, first
    assert len(named) == 1 and named[0]["remote_address"] == killers.address(5), named
    check_once(mta, harbour, sent)


@limit(120)
def test_deadly_message_is_held(world):
    """A message whose content kills at two different hosts is held, and says why."""
    sinks = [smtp.Sink((f"127.0.0.{n}", 25)) for n in (2, 3)]
    dns.NameServer(world, {"to.test": "@ MX 10 a\n@ MX 10 b\na A 127.0.0.2\nb A 127.0.0.3"})
    mta = faulty(world, routes="route out { match any; mx }", extra=dns.parts(more="workers { delivery 1 }"))
    send(1, "x@to.test", text=mail.message(1, extra="X-Deadly: planted-content-wild\r\n"))
    held = wait_for("it is held", lambda: mta.list("--state", "held"), 60)
    assert "killed" in held[0]["hold_reason"], held
    assert {c["remote_address"] for c in crashes(mta)} == {"127.0.0.2", "127.0.0.3"}
    send(2, "x@to.test")
    wait_for("the next message arrives", lambda: sum(len(s.messages) for s in sinks) == 1, 60)


def test_records_of_crashes(world):
    sink = smtp.Sink(answers={"EHLO": lambda s, line: b"250 \x01planted-reply-abort\r\n" if s.number == 1 else None})
    mta = faulty(world)
    send(1, "x@to.example")
    mta.wait_empty(30)
    record = crashes(mta)[0]
    shown = mta.ctl("crash", "show", str(record["number"]))[0]
    compare("crash list|show", [record])
    compare("crash list|show", [shown])
    compare("crash clear", mta.ctl("crash", "clear"))
    assert shown["octets"] == "250 \\x01planted-reply-abort\\x0d\\x0a", shown
    argv = [str(FAULT / "tools/mtactl"), "--socket", str(mta.socket), "crash", "export", str(record["number"])]
    assert subprocess.run(argv, capture_output=True).stdout == b"250 \x01planted-reply-abort\r\n"
    mta.stop()
    mta.start()
    assert crashes(mta) == [record], "records outlive a restart"
    assert mta.ctl("crash", "show", "99", json_output=False)[0] == 1
    code, text = mta.ctl("crash", "clear", json_output=False)
    assert code == 1 and "1 crash record would be removed" in text, text
    assert mta.ctl("--yes", "crash", "clear", json_output=False)[0] == 0
    assert crashes(mta) == []
    assert len(sink.messages) == 1


def test_receiver_names_its_killer(world):
    """The client's connection breaks; what others were told 250 for is delivered; the record names the client."""
    sink = smtp.Sink()
    mta = faulty(world)
    send(1, "x@to.example")
    killer = smtp.Client(source="127.0.0.9")
    killer.raw(b"NOOP planted-command-abort\r\n")
    assert killer.reply() == (0, "")
    record = wait_for("a record", lambda: crashes(mta), 20)[0]
    assert record["process"] == "receiver" and record["named"] and record["remote_address"] == "127.0.0.9", record
    send(2, "x@to.example")
    sink.wait(2)


@limit(120)
def test_resolver_and_mailbox_deaths_spare_the_others(world):
    sink = smtp.Sink(("127.0.0.2", 25))
    dns.NameServer(world, {"bad.test": "@ MX 10 planted-dns-abort\nplanted-dns-abort A 127.0.0.2", "good.test": "@ MX 10 a\na A 127.0.0.2"})
    mta = faulty(world, routes="route box { match rcpt-domain box.test; maildir @DIR@/mail/{domain}/{local} }\nroute out { match any; mx }",
                 extra=dns.parts(more="mailbox { create on }"), queue="retry 5m; expire 1d")
    send(1, "x@bad.test")
    send(2, "planted-mailbox-wild@box.test")
    wait_for("both are deferred", lambda: len(mta.list("--state", "deferred")) == 2, 60)
    send(3, "x@good.test")
    send(4, "y@box.test")
    sink.wait(1, 40)
    wait_for("the mailbox has its message", lambda: len(mail.in_maildir(mta.mail)) == 1, 40)
    assert {c["process"] for c in crashes(mta)} == {"resolver", "mailbox"}


@limit(120)
def test_manager_killed_while_answers_are_awaited(world):
    """Workers wait for the answers to their dots and leave them in the box; the next manager finds them there: nothing is repeated."""
    go = threading.Event()
    sink = smtp.Sink(answers={"DOT": lambda s, line: go.wait(20) and None})
    mta = world.mtad(queue="retry 1s; expire 1d")
    client = smtp.Client()
    for n in range(20):
        send(n, "x@to.example", client)
    wait_for("some wait for their answer", lambda: sink.sessions >= 2)
    wait_for("nothing more comes", lambda: mta.status()["queue"]["attempts"] >= 2)
    wait_for("contents are with the sink", lambda: sum(1 for line in sink.lines if line.startswith("DATA")) >= 2)
    os.kill(mta.pid_of("manager"), signal.SIGKILL)
    wait_for("a new manager", lambda: any(r["role"] == "manager" and r["restarts"] == 1 and r["state"] == "running" for r in mta.roles()))
    go.set()
    mta.wait_empty(40)
    arrived = [mail.id_of(m.content) for m in sink.messages]
    assert sorted(arrived, key=int) == [str(n) for n in range(20)], sorted(arrived, key=int)
    assert "maybe_duplicate" not in mta.log()


def test_released_programs_have_no_planted_fault(world):
    for name in ("mta/master/mtad", "tools/mtactl"):
        assert b"planted-" not in (BUILD / name).read_bytes(), name
    if (FAULT / "mta/master/mtad").exists():
        assert b"planted-" in (FAULT / "mta/master/mtad").read_bytes(), "this test looks for the wrong word"
