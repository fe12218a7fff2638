"""A full disk, folders and ports that cannot be had, broken files: one clear line, or mended with a line, and nothing accepted is lost."""
import os
import signal
import socket
import subprocess
import time

from harness import mail, smtp
from harness.core import Skip, limit, wait_for
from harness.smtp import Client, Sink


def refuses_to_start(mta, *words, code=None):
    """Start it; it must end by itself, with a line that has all the words. Returns that line."""
    mta.start(wait=False)
    got = mta.process.wait(30)
    lines = [line for line in mta.log(mta.log_start).splitlines() if all(w.lower() in line.lower() for w in words)]
    assert got != 0 and (code is None or got == code), f"ended with {got}: {mta.log(mta.log_start)}"
    assert lines, f"no line with {words}: {mta.log(mta.log_start)}"
    return lines[0]


def mounted(place, *options):
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, str(place)], capture_output=True, text=True)
    if done.returncode:
        raise Skip(f"cannot mount: {done.stderr}")
    if "ro" not in options[-2]:
        place.chmod(0o755)


def fill_until_refused(size, limit_count):
    """Send messages until one is refused; the ids that were taken, and the refusal."""
    client, taken = Client(), []
    for n in range(limit_count):
        code, text = client.send("sender@from.example", "rcpt@to.example", mail.message(n, size))
        if code != 250:
            return taken, code, text
        taken.append(str(n))
    return taken, 250, ""


def full_disk(world, size, options):
    """The disk gets full with mail that cannot leave: 452, never a false 250; then all that was taken is delivered, and mail is taken again."""
    place = world.folder / "mta" / "queue"
    mounted(place, "-t", "tmpfs", "-o", "size=24m", "none")
    mta = world.mtad(queue=f"retry 2s; expire 1d; segment-size 1M; {options}")
    taken, code, text = fill_until_refused(size, 2000)
    assert code in (451, 452) and taken, (code, text, len(taken))
    assert client_still_served(), "clients are not served any more"
    mta.kill()
    mta.start()
    assert mta.count()["messages"] == len(taken), (mta.count(), len(taken))
    sink = Sink()
    mta.ctl("queue", "flush")
    mta.wait_empty(60)
    arrived = {mail.id_of(m.content) for m in sink.messages}
    assert set(taken) <= arrived, f"{len(set(taken) - arrived)} of {len(taken)} lost"
    wait_for("mail is taken again", lambda: Client().send("sender@from.example", "rcpt@to.example", mail.message("again", size))[0] == 250, 20, 0.3)
    assert mta.status()["audit"]["balanced"] is True


def client_still_served():
    return Client().say("NOOP")[0] == 250


@limit(120)
def test_full_disk_with_small_mail(world):
    full_disk(world, 20000, "min-free 4M")


@limit(120)
def test_full_disk_with_large_mail(world):
    full_disk(world, 600000, "min-free 4M")


@limit(120)
def test_disk_filled_by_others(world):
    """Not one octet is left, and not by our doing: 452; deliveries go on or wait; with space again all goes on, and nothing is lost."""
    place = world.folder / "mta" / "queue"
    mounted(place, "-t", "tmpfs", "-o", "size=24m", "none")
    mta = world.mtad(queue="retry 2s; expire 1d; segment-size 1M; min-free 4M")
    client, taken = Client(), []
    for n in range(60):
        assert client.send("sender@from.example", "rcpt@to.example", mail.message(n, 20000))[0] == 250
        taken.append(str(n))
    filler = open(place / "filler", "wb")
    try:
        while True:
            filler.write(bytes(4096))
            filler.flush()
    except OSError:
        pass
    more, code, text = fill_until_refused(20000, 2000)
    assert code in (451, 452), (code, text, len(more))
    assert client_still_served()
    sink = Sink()
    mta.ctl("queue", "flush")
    sink.wait(60, 30)
    time.sleep(2)
    os.ftruncate(filler.fileno(), 0)
    wait_for("mail is taken again", lambda: Client().send("sender@from.example", "rcpt@to.example", mail.message("again"))[0] == 250, 20, 0.3)
    mta.wait_empty(30)
    assert set(taken) | {"again"} <= {mail.id_of(m.content) for m in sink.messages}
    assert mta.log().count("cannot write the index") <= 2 and mta.log().count("nearly full") <= 4, "a line for each try"
    assert mta.status()["audit"]["balanced"] is True


@limit(60)
def test_queue_size(world):
    """`max-size`: the queue may take so much; beyond it 452."""
    mta = world.mtad(queue="retry 1h; expire 1d; segment-size 1M; max-size 8M")
    taken, code, text = fill_until_refused(50000, 1000)
    assert code == 452 and 10 < len(taken) < 500, (code, text, len(taken))
    assert mta.count()["messages"] == len(taken)


def test_read_only_queue(world):
    place = world.folder / "mta" / "queue"
    mounted(place, "-t", "tmpfs", "-o", "size=100m,ro", "none")
    line = refuses_to_start(world.mtad(start=False), "queue")
    assert "read-only" in line.lower() or "Read-only" in line, line


def test_queue_folder_of_somebody_else(world):
    if os.geteuid() != 0:
        raise Skip("needs root to give folders away")
    mta = world.mtad(start=False)
    mta.queue.mkdir()
    (mta.queue / "something").write_text("not a queue")
    os.chown(mta.queue, 12345, 12345)
    mta.queue.chmod(0o500)
    refuses_to_start(mta, str(mta.queue))


def test_queue_path_that_is_a_file(world):
    mta = world.mtad(start=False)
    mta.queue.write_text("a file")
    refuses_to_start(mta, str(mta.queue))


def test_second_mtad_on_the_queue(world):
    sink = Sink()
    first = world.mtad()
    second = world.mtad(name="second", start=False, config=first.config_text.replace("127.0.0.1:25", "127.0.0.1:26").replace("control.sock", "second.sock"))
    line = refuses_to_start(second, str(first.queue))
    assert "use" in line or "lock" in line or "another" in line, line
    assert Client().send("a@from.example", "b@to.example", mail.message(1))[0] == 250
    sink.wait(1)
    assert sum(r["restarts"] for r in first.roles()) == 0


def test_busy_port(world):
    holder = socket.socket()
    holder.bind(("127.0.0.1", 25))
    holder.listen()
    refuses_to_start(world.mtad(start=False), "127.0.0.1:25", "taken")


def test_address_that_is_not_ours(world):
    refuses_to_start(world.mtad(start=False, listen="listen main { address 192.0.2.77:25 }"), "192.0.2.77")


BROKEN_CONFIGURATIONS = [
    # what is wrong, text, words of the line
    ("truncated in a block", "config-version 1\nlisten main {\n  address 127.0.0.1:25\n  trust 127.0", (":2:1", "never closed")),
    ("nothing", "", ("error",)),
    ("unknown key", "config-version 1\nlistn main { address 127.0.0.1:25 }\n", (":2:1", "did you mean", "listen")),
    ("duplicate key", "config-version 1\nhostname a.example\nhostname b.example\n", (":3:1", "hostname")),
    ("later version", "config-version 2\n", ("version",)),
    ("not built yet", "config-version 1\nmilter m { }\n", (":2:1", "not supported yet")),
    ("binary", "\0\1\2\377" * 50, ("error",)),
    ("bad unit", "config-version 1\nqueue { expire 5 }\n", (":2:", "expire")),
    ("route without action", "config-version 1\nlisten main { address 127.0.0.1:25 }\nroute x { match any }\n", (":3:1", "route")),
]


def test_broken_configurations(world):
    """Exit 78 and file:line:column, from --check and at start; all errors of a run, not only the first."""
    mta = world.mtad(start=False)
    program = str(mta.build / "mtad")
    for what, text, words in BROKEN_CONFIGURATIONS:
        mta.config_path.write_text(text, encoding="latin-1")
        done = subprocess.run([program, "--check", "-c", str(mta.config_path)], capture_output=True, text=True, timeout=20)
        said = done.stdout + done.stderr
        assert done.returncode == 78 and all(w in said for w in words), (what, done.returncode, said)
        refuses_to_start(mta, str(mta.config_path), code=78)
    mta.config_path.write_text("config-version 1\nfrob 1\nknob 2\nlisten main { adress 127.0.0.1:25 }\n")
    done = subprocess.run([program, "--check", "-c", str(mta.config_path)], capture_output=True, text=True, timeout=20)
    said = done.stdout + done.stderr
    assert ":2:1" in said and ":3:1" in said and ":4:15" in said, said
    mta.config_path.unlink()
    refuses_to_start(mta, str(mta.config_path))


# ---- broken files of the queue ----

def with_waiting_mail(world, count=40, settle=1.5):
    """A killed mtad whose queue has `count` messages that wait, each from a commit group of its own."""
    mta = world.mtad(queue="retry 1h; expire 1d; segment-size 1M")
    client = Client()
    for n in range(count):
        assert client.send("sender@from.example", "rcpt@to.example", mail.message(n, 2000))[0] == 250
    time.sleep(settle)
    mta.kill()
    return mta


def delivered_after(mta, sink, least, seconds=40):
    mta.ctl("queue", "flush")
    sink.wait(least, seconds)
    return sorted(int(mail.id_of(m.content)) for m in sink.messages)


def files_with(folder, octets):
    return [p for p in folder.rglob("*") if p.is_file() and octets in p.read_bytes()]


def index_files(mta):
    found = [p for p in mta.queue.rglob("*") if p.is_file() and p.name.startswith("data.mdb")]
    assert found, sorted(str(p) for p in mta.queue.rglob("*"))
    return found


@limit(90)
def test_damaged_log_record(world):
    """Some octets of one stored message are changed: the others are served, the damage is said and its bytes are kept."""
    mta = with_waiting_mail(world)
    place = files_with(mta.queue, b"This is message 17.")[0]
    data = bytearray(place.read_bytes())
    at = data.index(b"This is message 17.")
    data[at:at + 19] = b"This is damage! 17."
    place.write_bytes(data)
    sink = Sink()
    mta.start()
    got = delivered_after(mta, sink, 39)
    assert [n for n in range(40) if n not in got] in ([17], []), f"lost besides the damaged one: {[n for n in range(40) if n not in got]}"
    assert not any(b"damage! 17" in m.content for m in sink.messages), "damaged content was delivered"
    mta.wait_log("its content cannot be read back")
    (row,) = mta.list()
    assert row["queue_name"] == "hold" and row["hold_reason"], row
    assert files_with(mta.queue, b"This is damage! 17."), "the damaged bytes are gone"
    assert Client().send("sender@from.example", "rcpt@to.example", mail.message(99))[0] == 250


@limit(90)
def test_damaged_log_record_behind_the_index(world):
    """The same where the index does not know the record: the log is read from its start, the damage said and set aside."""
    mta = with_waiting_mail(world)
    place = files_with(mta.queue, b"This is message 17.")[0]
    data = place.read_bytes()
    place.write_bytes(data.replace(b"This is message 17.", b"This is damage! 17."))
    for index in index_files(mta):
        index.unlink()
    sink = Sink()
    mta.start()
    got = delivered_after(mta, sink, 39)
    assert got == [n for n in range(40) if n != 17], got
    log = mta.log(mta.log_start).lower()
    assert "damage" in log and "rebuil" in log, log
    assert files_with(mta.queue / "damage", b"This is damage! 17."), "the damaged bytes are gone"


@limit(90)
def test_torn_tail(world):
    """The last group was cut by the crash: what was acknowledged before it is served, and nothing is called damage."""
    mta = world.mtad(queue="retry 1h; expire 1d; segment-size 1M")
    client = Client()
    for n in range(20):
        assert client.send("sender@from.example", "rcpt@to.example", mail.message(n, 2000))[0] == 250
    mta.kill()
    place = files_with(mta.queue, b"This is message 19.")[0]
    data = bytearray(place.read_bytes())
    at = data.index(b"This is message 19.")
    data[at:] = bytes(len(data) - at)
    place.write_bytes(data)
    sink = Sink()
    mta.start()
    got = delivered_after(mta, sink, 19)
    assert got in (list(range(19)), list(range(20))), got


def check_index(world, damage, *words):
    mta = with_waiting_mail(world)
    for place in index_files(mta):
        damage(place)
    sink = Sink()
    mta.start()
    assert delivered_after(mta, sink, 40) == list(range(40))
    log = mta.log(mta.log_start).lower()
    assert any(w in log for w in words), mta.log(mta.log_start)
    assert mta.status()["audit"]["balanced"] is True


@limit(90)
def test_missing_index(world):
    check_index(world, lambda place: place.unlink(), "rebuil")


@limit(90)
def test_index_of_noise(world):
    check_index(world, lambda place: place.write_bytes(os.urandom(place.stat().st_size)), "rebuil")


@limit(90)
def test_empty_index(world):
    check_index(world, lambda place: place.write_bytes(b""), "rebuil")


@limit(90)
def test_truncated_index(world):
    check_index(world, lambda place: os.truncate(place, place.stat().st_size // 2 // 4096 * 4096), "rebuil", "index", "ready")


@limit(90)
def test_index_with_damaged_pages(world):
    """Every data page behind the meta pages is overwritten."""
    def damage(place):
        with open(place, "r+b") as f:
            f.seek(2 * 4096)
            f.write(b"\x5a" * (place.stat().st_size - 2 * 4096))
    check_index(world, damage, "rebuil")


@limit(60)
def test_missing_body(world):
    """The file of a large message is gone: that one cannot be delivered and says so; the others go."""
    mta = world.mtad(queue="retry 1h; expire 1d")
    client = Client()
    for n in range(5):
        assert client.send("sender@from.example", "rcpt@to.example", mail.message(n, 200000))[0] == 250
    mta.kill()
    victim = files_with(mta.queue, b"This is message 3.")[0]
    victim.rename(mta.folder / "moved-away")
    sink = Sink()
    mta.start()
    got = delivered_after(mta, sink, 4)
    assert got == [0, 1, 2, 4], got
    (row,) = wait_for("the one without body is kept and says why", lambda: [r for r in mta.list() if r["recipients"][0].get("delay_reason") or r.get("hold_reason")], 20, 0.2)
    assert Client().send("sender@from.example", "rcpt@to.example", mail.message(9))[0] == 250


@limit(60)
def test_foreign_files_in_the_queue(world):
    """Files that are not ours are neither touched nor in the way."""
    mta = with_waiting_mail(world, 5)
    strangers = {mta.queue / "README": b"hello", mta.queue / "log" / "notes.txt": b"x" * 5000, mta.queue / "lost+found.txt": b""}
    for path, content in strangers.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    sink = Sink()
    mta.start()
    assert delivered_after(mta, sink, 5) == list(range(5))
    assert all(path.read_bytes() == content for path, content in strangers.items())


def test_sigkill_of_the_master_takes_all_along(world):
    """No process of ours outlives the master, and a new one can start at once."""
    Sink()
    mta = world.mtad()
    pids = [r["pid"] for r in mta.roles()]
    os.kill(mta.process.pid, signal.SIGKILL)
    mta.process.wait()

    def alive():
        left = []
        for pid in pids:
            try:
                if open(f"/proc/{pid}/stat").read().split(")")[1].split()[0] != "Z":
                    left.append(pid)
            except OSError:
                pass
        return left

    wait_for("all of them are gone", lambda: not alive(), 20)
    mta.start()
    assert Client().send("a@from.example", "b@to.example", mail.message(1))[0] == 250
