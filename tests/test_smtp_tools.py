"""smtp-source through Bulkhead into smtp-sink, and into a sink that counts ids. The 100,000 of them: tests/campaign/hundred-thousand."""
import collections
import os
import threading
import time

from harness import mail, postfix, smtp
from harness.core import limit, wait_for


@limit(120)
def test_smtp_source_to_smtp_sink(world):
    count = 3000
    sink = postfix.SmtpSink(world, dump=True)
    mta = world.mtad()
    postfix.source("127.0.0.1:25", count, sessions=20)
    wait_for("all are in the sink", lambda: len(os.listdir(sink.folder)) >= count, 60, 0.2)
    mta.wait_empty()
    assert len(os.listdir(sink.folder)) == count
    audit = mta.status()["audit"]
    assert audit["balanced"] is True and audit["accepted"] == audit["delivered"] == count, audit


@limit(120)
def test_smtp_source_with_a_connection_each(world):
    sink = smtp.Sink()
    mta = world.mtad()
    postfix.source("127.0.0.1:25", 500, sessions=10, reuse=False, recipients=3)
    sink.wait(500, 60)
    mta.wait_empty()
    assert len(sink.messages) == 500 and all(len(m.recipients) == 3 for m in sink.messages)


@limit(120)
def test_every_id_arrives_once(world):
    """Our own clients, each message with an id."""
    sink, mta = smtp.Sink(), world.mtad()
    ledger = mail.Ledger(2000, sessions=8, size=2000, per_connection=50)
    ledger.finish()
    mta.wait_empty(60)
    assert ledger.compare([m.content for m in sink.messages]) == 0
    assert len(sink.messages) == 2000 and ledger.again == 0, ledger.failures


def test_kinds_of_smtp_sink(world):
    """Servers that offer less than ours: each gets all of its mail."""
    kinds = {"127.0.1.1": ["-p"], "127.0.1.2": ["-e"], "127.0.1.3": ["-8", "-N", "-E"], "127.0.1.4": ["-P"], "127.0.1.5": ["-w", "1"], "127.0.1.6": ["-f", "EHLO"]}
    sinks = [postfix.SmtpSink(world, listen=f"{address}:25", options=options, dump=True) for address, options in kinds.items()]
    routes = "".join(f"route k{n} {{ match rcpt-domain k{n}.example; relay smtp://{address}:25 }}\n" for n, address in enumerate(kinds))
    mta = world.mtad(routes=routes)
    for n in range(len(kinds)):
        postfix.source("127.0.0.1:25", 20, sessions=2, to=f"to@k{n}.example")
    mta.wait_empty(60)
    assert [len(os.listdir(s.folder)) for s in sinks] == [20] * len(kinds), mta.log()[-3000:]


@limit(120)
def test_next_hop_that_ends_and_comes_back(world):
    """smtp-sink ends after 100 messages, sessions open: with another in its place everything arrives."""
    count = 300
    first = postfix.SmtpSink(world, options=["-M", "100"], dump=True)
    mta = world.mtad(queue="retry 1s; expire 1d")
    postfix.source("127.0.0.1:25", count, sessions=10)
    first.process.wait(30)
    kept = len(os.listdir(first.folder))
    second = postfix.SmtpSink(world, dump=True, folder="second")
    mta.wait_empty(60)
    assert kept + len(os.listdir(second.folder)) >= count
    audit = mta.status()["audit"]
    assert audit["balanced"] is True and audit["delivered"] == count, audit


@limit(90)
def test_many_sessions_at_once(world):
    """200 clients at once, each with one message; the trusted network is exempt from limits by client."""
    sink, mta = smtp.Sink(), world.mtad()
    results = collections.Counter()

    def one(number):
        results[smtp.Client().send("a@from.example", "b@to.example", mail.message(number))[0]] += 1

    threads = [threading.Thread(target=one, args=(n,)) for n in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {250: 200}, results
    mta.wait_empty()
    assert sorted(int(mail.id_of(m.content)) for m in sink.messages) == list(range(200))


@limit(90)
def test_next_hop_that_serves_one_session_at_a_time(world):
    """It refuses a second session while one goes on, and ends each after some messages: that one was too many says nothing about the next."""
    lock = threading.Lock()
    refused = []

    def banner(session, line):
        session.serves = lock.acquire(blocking=False)
        if not session.serves:
            refused.append(session.number)
            return "421 4.7.0 one session at a time\r\n"
        return None

    def dot(session, line):
        time.sleep(0.02)
        return None

    def ended(session, line):
        if session.serves:
            lock.release()
        return None

    sink = smtp.Sink(answers={"banner": banner, "DOT": dot, "QUIT": ended})
    mta = world.mtad(routes="route out { match any; relay smtp://127.0.0.2:25; messages-per-connection 5 }", queue="retry 1s; expire 1d")
    client = smtp.Client()
    for number in range(60):
        assert client.send("a@from.example", "b@to.example", mail.message(number))[0] == 250
    mta.wait_empty(30)
    assert len(refused) >= 1, "nothing was refused: this showed nothing"
    assert sorted(int(mail.id_of(m.content)) for m in sink.messages) == list(range(60))
