"""Death by octets: a remote that kills a worker is named, nobody else loses or repeats a message, and it is served alone until it behaves.

Deaths are real: the build has planted faults (option planted_fault), which a word of the remote sets off."""
import os
import pathlib
import signal
import subprocess
import threading
import time

from harness import dns, killers, mail, smtp
from harness.core import BUILD, ROOT, Skip, limit, wait_for
from harness.killers import check_once, crashes, send
from test_contract import compare

FAULT = pathlib.Path(os.environ.get("BULKHEAD_FAULT_BUILD", ROOT / "build-fault"))
LISTEN = "listen main { address 127.0.0.1:25; trust 127.0.0.0/8 }"


def faulty(world, **parts):
    if not (FAULT / "mta/master/mtad").exists():
        raise Skip("there is no build with planted faults: meson setup build-fault -Dplanted_fault=true")
    return world.mtad(build=FAULT, **dict(dict(listen=LISTEN, queue="retry 1s; expire 1d"), **parts))


@limit(400)
def test_culprit_is_named_among_64_sessions(world):
    """The short form: 30 deaths, in every phase, by every kind of death that can be told apart."""
    harbour = killers.Harbour(64)
    mta = faulty(world, routes=killers.routes(64, "messages-per-connection 1"), extra="workers { delivery 1 }")
    forms = ["abort", "wild", "memory", "call"]
    for n in range(30):
        killer, step = 1 + (7 * n) % 64, killers.STEPS[n % len(killers.STEPS)]
        form = "loop" if n == 13 else forms[n % len(forms)]
        killers.delivery_round(mta, harbour, 1000 * n, killer, step, form)
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
        record, _ = killers.delivery_round(mta, harbour, 100 * n, 1, step, "abort")
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


def test_quarantine_does_not_pipeline(world):
    """Whoever has killed gets one command at a time, so that what it answers can only belong to that one; before and after, whole flights."""
    behind = []

    def mail_came(session, line):
        behind.append(bool(session.buffer))   # more than MAIL came in one go
        return b"250 planted-reply-abort\r\n" if len(behind) == 1 else None
    sink = smtp.Sink(answers={"MAIL": mail_came})
    mta = faulty(world)
    send(1, "x@to.example")
    mta.wait_empty(40)
    wait_for("it is let go", lambda: mta.status()["crashes"]["quarantined"] == 0)
    wait_for("an idle pool", lambda: mta.status()["queue"]["connections"] == 0)
    send(2, "x@to.example")
    mta.wait_empty(20)
    assert behind == [True, False, True] and len(sink.messages) == 2, behind


@limit(240)
def test_scribble_over_the_box(world):
    """The box is ruined with the worker: nobody is named at first, everybody is served alone, and who kills alone is convicted."""
    harbour = killers.Harbour(12)
    mta = faulty(world, routes=killers.routes(12, "messages-per-connection 1"), extra="workers { delivery 1 }")
    killers.delivery_round(mta, harbour, 0, 5, "MAIL", "scribble")
    first, named = crashes(mta)[0], [c for c in crashes(mta) if c["named"]]
    assert first["suspects"] == 12 and len(named) == 1, crashes(mta)


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


def test_next_host_in_quarantine_does_not_bounce_mail(world):
    """The first host can never be asked, the second has killed twice and may not be asked yet: a crash of ours bounces no mail."""
    sink = smtp.Sink(("127.0.0.3", 25), answers={"MAIL": lambda s, line: b"250 planted-reply-abort\r\n" if s.number <= 2 else None})
    dns.NameServer(world, {"to.test": "@ MX 10 a\n@ MX 20 b\na A 127.0.0.2\nb A 127.0.0.3"})
    mta = faulty(world, routes="route out { match any; mx }", extra=dns.parts(allow="127.0.0.3/32", more="workers { delivery 1 }"))
    send(1, "x@to.test")
    mta.wait_empty(60)
    assert "status=bounced" not in mta.log() and len(sink.messages) == 1, mta.log()[-3000:]
    assert [c["remote_address"] for c in crashes(mta)] == 2 * ["127.0.0.3"], crashes(mta)


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


@limit(240)
def test_culprit_is_named_among_64_clients(world):
    """Two receivers with 64 sessions: one dies, in every phase. Who sat there comes again, the others see nothing; nothing that was promised is lost."""
    sink = smtp.Sink()
    mta = faulty(world, extra="workers { smtp 2 }")
    forms, dropped, untouched = ["abort", "wild", "memory", "call"], 0, 0
    rounds = [*killers.PHASES, "DATA", "idle"]
    for n, phase in enumerate(rounds):
        form, source = "loop" if n == 6 else forms[n % len(forms)], f"127.0.9.{1 + n}"
        _, figures = killers.reception_round(mta, sink, 1000 * n, source, phase, form)
        assert figures["refused"] == 0, "only who has killed is sent away"
        dropped, untouched = dropped + figures["dropped"], untouched + figures["untouched"]
    assert dropped > 0 and untouched > 0, (dropped, untouched)
    status = mta.status()
    assert status["crashes"]["records"] == status["crashes"]["clients_quarantined"] == len(rounds) and status["audit"]["balanced"], status


@limit(120)
def test_client_is_served_alone_until_it_behaves(world):
    """Its next session is the quarantine receiver's; when it kills again it waits, and nobody else does."""
    smtp.Sink()
    mta = faulty(world, extra="workers { smtp 2 }")

    def restarts():
        return {r["index"]: r["restarts"] for r in mta.roles() if r["role"] == "receiver"}
    killers.kill_receiver("127.0.9.1", "idle", "abort")
    killers.new_record(mta, 0)
    wait_for("it is apart", lambda: mta.status()["crashes"]["clients_quarantined"] == 1)
    before = restarts()
    assert before[2] == 0 and before[0] + before[1] == 1, before
    killers.kill_receiver("127.0.9.1", "RCPT", "wild", killers.served_alone("127.0.9.1"))
    second = killers.new_record(mta, 1)
    assert second["index"] == 2 and second["remote_address"] == "127.0.9.1", second
    mta.wait_log("[127.0.9.1] has killed 2 receivers: it is served alone, after longer and longer pauses")
    sent_away = smtp.Client(source="127.0.9.1", greet=None)
    assert sent_away.banner[0] == 421 and sent_away.at_end(), sent_away.banner
    send(1, "x@to.example")
    guest = killers.behave("127.0.9.1")
    assert guest.refused > 0 and time.time() - second["time"] >= 4, "it was served again before its pause was over"
    mta.wait_log("quarantine: 127.0.9.1 has taken part in a session to its end")
    assert mta.status()["crashes"]["clients_quarantined"] == 0
    after = restarts()
    assert after[0] + after[1] == 1 and after[2] == 1, after
    wait_for("it is served by the others", lambda: killers.behave("127.0.9.1").refused == 0)


@limit(120)
def test_clients_are_served_alone_one_at_a_time(world):
    mta = faulty(world)
    for n in (1, 2):
        killers.kill_receiver(f"127.0.9.{n}", "EHLO", "abort")
        killers.new_record(mta, n - 1)
    wait_for("both are apart", lambda: mta.status()["crashes"]["clients_quarantined"] == 2)
    first = killers.served_alone("127.0.9.1").client
    for source in ("127.0.9.1", "127.0.9.2"):
        second = smtp.Client(source=source, greet=None)
        assert second.banner[0] == 421 and second.at_end(), second.banner
    assert smtp.Client(source="127.0.9.3").banner[0] == 220
    first.close()  # before it has said anything: that is no good end
    killers.behave("127.0.9.2")
    wait_for("the second is let go", lambda: mta.status()["crashes"]["clients_quarantined"] == 1)
    killers.behave("127.0.9.1")
    wait_for("both are let go", lambda: mta.status()["crashes"]["clients_quarantined"] == 0)


@limit(120)
def test_receiver_scribbles_over_its_box(world):
    """Nobody is named; whose connections it had are served alone for a while, and who kills alone is named though the box is ruined again."""
    sink = smtp.Sink()
    mta = faulty(world, extra="workers { smtp 1 }")
    record, _ = killers.reception_round(mta, sink, 0, "127.0.9.1", "MAIL", "scribble", 16)
    assert record["index"] == 1 and crashes(mta)[0]["suspects"] == 16, crashes(mta)
    wait_for("the others are let go", lambda: mta.status()["crashes"]["clients_quarantined"] == 1)


@limit(120)
def test_convictions_outlive_the_manager(world):
    """Who was convicted stays so under the next manager, also after a restart of all; who was let go stays free."""
    harbour = killers.Harbour(2)
    mta = faulty(world, routes=killers.routes(2), queue="retry 1h; expire 1d", extra="workers { delivery 1 }")
    harbour.round = killers.Round(1, 1, "RCPT", "abort", kills=1)
    send(1, "x@d1.test")
    killers.new_record(mta, 0)
    killers.kill_receiver("127.0.9.1", "idle", "abort")
    killers.new_record(mta, 1)

    def apart():
        return mta.status()["crashes"]["quarantined"], mta.status()["crashes"]["clients_quarantined"]
    kill_manager(mta)
    assert apart() == (1, 1)
    assert "hosts that have killed processes before this start are served alone" in mta.log()
    killers.kill_receiver("127.0.9.1", "idle", "abort", killers.served_alone("127.0.9.1"))
    assert killers.new_record(mta, 2)["index"] == 2, "it is the quarantine receiver's still"
    mta.ctl("queue", "flush")
    mta.wait_empty(60)
    wait_for("the server has behaved", lambda: apart()[0] == 0)
    mta.stop()
    mta.start()
    assert apart() == (0, 1), "who was let go is free, who was not is not"
    wait_for("it is let go", lambda: killers.behave("127.0.9.1") and apart() == (0, 0))
    kill_manager(mta)
    assert apart() == (0, 0)


def kill_manager(mta, stopped=None):
    """SIGKILL; returns when the next one is there."""
    old = stopped or mta.pid_of("manager")
    os.kill(old, signal.SIGKILL)
    wait_for("a new manager", lambda: any(r["role"] == "manager" and r["pid"] != old and r["state"] == "running" for r in mta.roles()), 40)


@limit(120)
def test_deaths_without_a_manager_are_told_to_the_next(world):
    """Workers die while the manager can hear nothing, and it dies without having heard: the next one names who it was."""
    harbour = killers.Harbour(2)
    mta = faulty(world, routes=killers.routes(2), extra="workers { delivery 1 }")
    harbour.round = killers.Round(2, 1, "RCPT", "abort", kills=1)
    sent = {1: send(1, "x@d1.test"), 2: send(2, "x@d2.test")}
    wait_for("the innocent one waits", lambda: harbour.round.parked)
    known = {(r["role"], r["index"]): r["pid"] for r in mta.roles()}
    manager = known["manager", 0]
    os.kill(manager, signal.SIGSTOP)
    killers.kill_receiver("127.0.9.1", "RCPT", "wild")
    assert harbour.round.fired.wait(40)
    wait_for("the delivery worker is dead", lambda: not os.path.exists(f"/proc/{known['deliver', 0]}"), 40)
    killers.behave("127.0.9.2")
    kill_manager(mta, manager)
    records = wait_for("both are recorded", lambda: len(crashes(mta)) == 2 and crashes(mta), 40)
    named = {c["process"]: c for c in records}
    assert named["receiver"]["named"] and named["receiver"]["remote_address"] == "127.0.9.1", named
    assert named["deliver"]["named"] and named["deliver"]["remote_address"] == killers.address(1) and named["deliver"]["queue_id"] == sent[1], named
    mta.wait_empty(60)
    check_once(mta, harbour.arrived(), sent)
    kill_manager(mta)
    assert len(crashes(mta)) == 2, "the next one does not record them once more"


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


def in_hand(world, **parts):
    """A harbour of 64 and an mtad that can also resolve and fill mailboxes."""
    harbour = killers.Harbour(64)
    dns.NameServer(world, {"mx.test": "@ MX 10 a\na A 127.0.0.2"})
    routes = "route box { match rcpt-domain box.test; maildir @DIR@/mail/{domain}/{local} }\n" + killers.routes(64, "messages-per-connection 1")
    mta = world.mtad(routes=routes + "\nroute out { match any; mx }", queue="retry 1s; expire 1d", extra=dns.parts(more="mailbox { create on }"), **parts)
    return harbour, smtp.Sink(("127.0.0.2", 25)), mta


def one_death(mta, harbour, sink, role, first):
    """64 sessions wait, each at its step, and mail for the resolver and the mailbox is under way, when a process of that role dies."""
    harbour.round = killers.Round(harbour.count, 0, None, None)
    sent = killers.fill(harbour, first)
    harbour.round.wait_for_all()
    pid = mta.pid_of(role)
    more = {first + n: send(first + n, to) for n, to in ((101, "x@mx.test"), (102, "y@box.test"))}
    os.kill(pid, signal.SIGKILL)
    more.update({first + n: send(first + n, to) for n, to in ((103, "x@mx.test"), (104, "y@box.test"))})
    wait_for(f"another {role}", lambda: any(r["role"] == role and r["state"] == "running" and r["pid"] != pid for r in mta.roles()), 60)
    harbour.round.fired.set()
    mta.wait_empty(100)
    harbour.round = None
    check_once(mta, harbour.arrived(), sent)
    arrived = killers.arrivals(sink)
    for content in mail.in_maildir(mta.mail):
        arrived[mail.id_of(content)] = arrived.get(mail.id_of(content), 0) + 1
    check_once(mta, arrived, more)


@limit(240)
def test_deaths_of_others_spare_64_deliveries(world):
    """Connector, resolver and mailbox: nothing is lost or repeated."""
    harbour, sink, mta = in_hand(world)
    for n, role in enumerate(("connector", "resolver", "mailbox")):
        one_death(mta, harbour, sink, role, 1000 * n)
    assert "maybe_duplicate" not in mta.log() and mta.status()["audit"]["balanced"]


@limit(240)
def test_death_of_the_manager_spares_64_deliveries(world):
    """Sessions before the dot end with it and are made again; answers to dots are awaited, and found in the boxes."""
    harbour, sink, mta = in_hand(world)
    one_death(mta, harbour, sink, "manager", 0)
    assert mta.status()["audit"]["balanced"]


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
