"""The same mail on both engines: io_uring, epoll by choice, and epoll where io_uring is refused."""
import os
import pathlib
import sys

from harness import core, mail, smtp
from harness.core import limit

WITHOUT = [sys.executable, str(pathlib.Path(__file__).parent / "harness/no_io_uring.py")]


def carry(world, engine, **parts):
    """The basic flow, in and out and into a Maildir, small and large, alone and many at once; and a dead worker."""
    sink = smtp.Sink()
    mta = world.mtad(routes="route box { match rcpt-domain box.example; maildir @DIR@/mail/{domain}/{local} }\nroute out { match any; relay smtp://127.0.0.2:25 }", **parts)
    status = mta.status()
    assert status["engine"] == engine, status["engine"]
    client = smtp.Client()
    code, text = client.send("a@from.example", ["u@box.example", "v@to.example"], mail.message("both", 200000))
    assert code == 250, text
    client.raw(b"MAIL FROM:<a@from.example>\r\nRCPT TO:<b@to.example>\r\nDATA\r\n")
    assert [client.reply()[0] for _ in range(3)] == [250, 250, 354]
    assert client.data(mail.message("piped"))[0] == 250
    ledger = mail.Ledger(400, sessions=8, size=5000)
    ledger.finish()
    mta.wait_empty()
    assert ledger.compare([m.content for m in sink.messages]) == 0
    assert len(sink.messages) == 402 and len(mail.in_maildir(mta.mail)) == 1
    assert client.say("NOOP")[0] == 250
    stopped = smtp.Client()
    mta.stop()
    assert stopped.at_end()


@limit(60)
def test_io_uring(world):
    if os.path.exists("/proc/sys/kernel/io_uring_disabled") and open("/proc/sys/kernel/io_uring_disabled").read().strip() != "0":
        raise core.Skip("this kernel has io_uring switched off")
    carry(world, "io_uring", extra="sandbox { engine io_uring }\nmailbox { create on }")


@limit(60)
def test_epoll_by_choice(world):
    carry(world, "epoll", extra="sandbox { engine epoll }\nmailbox { create on }")


@limit(60)
def test_epoll_where_io_uring_is_refused(world):
    carry(world, "epoll", prefix=WITHOUT, extra="mailbox { create on }")


def test_io_uring_wanted_and_refused(world):
    """`engine io_uring` where it is refused: one clear line and no start."""
    mta = world.mtad(prefix=WITHOUT, extra="sandbox { engine io_uring }", start=False)
    mta.start(wait=False)
    code = mta.process.wait(30)
    assert code not in (0, None) and "io_uring" in mta.log(), (code, mta.log())
