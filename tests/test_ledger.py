"""kill -9 in the middle, of each role in turn and of all at once: whatever a client was told 250 for arrives."""
from harness import mail, smtp
from harness.core import limit, wait_for
from harness.killer import Killer


def survive(world, role, count=2500, every=0.4, maildir=False, kills=4):
    sink = smtp.Sink()
    routes = "route box { match any; maildir @DIR@/mail/{domain}/{local} }" if maildir else "route out { match any; relay smtp://127.0.0.2:25 }"
    mta = world.mtad(routes=routes, queue="retry 1s; expire 1d", extra="mailbox { create on }\ntimeouts { data-end 10s; ehlo 10s }")
    killer = Killer(role, every)
    ledger = mail.Ledger(count, sessions=6, size=1500, give_up=50, more=lambda: killer.kills < kills)
    wait_for("some kills in the middle", lambda: killer.kills >= kills, 40)
    killer.stop()
    ledger.finish()
    mta.wait_empty(40)
    contents = mail.in_maildir(mta.mail) if maildir else [m.content for m in sink.messages]
    doubled = ledger.compare(contents)
    status = mta.status()
    assert status["audit"]["balanced"] is True, status["audit"]
    assert sum(r["restarts"] for r in status["roles"] if r["role"] == role) >= 1, status["roles"]
    print(f"{role}: {killer.kills} kills, {len(ledger.acknowledged)} acknowledged, {ledger.again} sent again, {doubled} doubled")
    return doubled


@limit(150)
def test_manager_killed(world):
    survive(world, "manager", every=0.7)


@limit(150)
def test_deliver_killed(world):
    survive(world, "deliver")


@limit(150)
def test_receiver_killed(world):
    survive(world, "receiver")


@limit(150)
def test_acceptor_killed(world):
    survive(world, "acceptor")


@limit(150)
def test_connector_killed(world):
    survive(world, "connector")


@limit(150)
def test_resolver_killed(world):
    survive(world, "resolver", count=1000)


@limit(150)
def test_mailbox_killed(world):
    survive(world, "mailbox", count=600, maildir=True)


@limit(150)
def test_control_killed(world):
    survive(world, "control", count=1000)


@limit(150)
def test_everything_killed(world):
    """SIGKILL to all of it, three times, with clients that go on trying."""
    sink = smtp.Sink()
    mta = world.mtad(queue="retry 1s; expire 1d")
    ledger = mail.Ledger(1500, sessions=6, size=1500, give_up=70)
    for part in (0.2, 0.4, 0.6):
        wait_for(f"{part} of them are in", lambda: len(ledger.acknowledged) >= 1500 * part, 40)
        mta.kill()
        mta.start()
    ledger.finish(70)
    mta.wait_empty(40)
    ledger.compare([m.content for m in sink.messages])
    assert mta.status()["audit"]["balanced"] is True


@limit(90)
def test_new_mail_is_not_taken_for_that_before_a_quick_restart(world):
    """A COMMIT is known again by receiver, epoch and transaction: all of it started anew within the same second must not count from the same place."""
    sink = smtp.Sink()
    mta = world.mtad(extra="workers { smtp 1 }")
    ids, sent = [], 0
    for _ in range(8):
        client = smtp.Client()
        for _ in range(5):
            code, text = client.send("sender@from.example", "rcpt@to.example", mail.message(sent, 200))
            assert code == 250, text
            ids.append(text.split()[-1])
            sent += 1
        mta.kill()
        mta.start()
    assert len(set(ids)) == sent, f"{sent - len(set(ids))} of {sent} messages got the id of an earlier one"
    mta.ctl("queue", "flush")
    mta.wait_empty(40)
    assert {mail.id_of(m.content) for m in sink.messages} == {str(n) for n in range(sent)}


@limit(150)
def test_everything_killed_with_a_queue_of_deferred_mail(world):
    """Mail that waits is there after each of several kills, and goes out when its next hop is up."""
    mta = world.mtad(queue="retry 2s; expire 1d")
    ledger = mail.Ledger(300, sessions=4, size=3000)
    ledger.finish()
    for _ in range(3):
        mta.kill()
        mta.start()
        assert mta.count()["messages"] == 300, mta.count()
    sink = smtp.Sink()
    mta.ctl("queue", "flush")
    mta.wait_empty(40)
    assert ledger.compare([m.content for m in sink.messages]) == 0
    assert len(sink.messages) == 300


@limit(90)
def test_large_messages_survive(world):
    """Bodies that are files: in the queue over a kill, then delivered whole."""
    mta = world.mtad(queue="retry 2s; expire 1d")
    client = smtp.Client()
    letters = {n: mail.message(n, 300000 + n * 1000) for n in range(10)}
    for n, letter in letters.items():
        code, text = client.send("sender@from.example", "rcpt@to.example", letter)
        assert code == 250, text
    mta.kill()
    mta.start()
    sink = smtp.Sink()
    mta.ctl("queue", "flush")
    sink.wait(10)
    for m in sink.messages:
        assert m.content.endswith(letters[int(mail.id_of(m.content))].encode()), "the content changed"
    mta.wait_empty()
    wait_for("the bodies are removed", lambda: not [p for p in mta.queue.rglob("*") if p.is_file() and p.parent.name == "body"], 20)
