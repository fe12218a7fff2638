"""Mail for users of this host: as the user, into a Maildir at home or an mbox; names, owners, locks, links, and who is nobody."""
import fcntl
import mailbox
import os
import pathlib
import signal
import stat
import subprocess
import threading
import time

from harness import mail, smtp
from harness.core import Skip, limit, wait_for

USERS = {"ann": 2001, "bob": 2002, "cid": 2003, "dan.d": 2004, "eve": 2005, "fay": 2006}
MAILDIR = "route here { match rcpt-domain box.example; local maildir }\nroute out { match any; relay smtp://127.0.0.2:25 }"
MBOX = "route here {{ match rcpt-domain box.example; local mbox {} }}\nroute out {{ match any; relay smtp://127.0.0.2:25 }}"


def accounts(world, users=USERS):
    """Users of this test's own, in the place of the host's, with homes that nobody else may enter."""
    if os.geteuid() != 0:
        raise Skip("needs root: mail is delivered as its user")
    passwd = pathlib.Path("/etc/passwd").read_text().splitlines()
    lines = [line for line in passwd if line.split(":")[0] not in users]
    for name, uid in users.items():
        home = world.folder / "home" / name
        home.mkdir(parents=True, exist_ok=True)
        os.chown(home, uid, uid)
        home.chmod(0o700)
        lines.append(f"{name}:x:{uid}:{uid}::{home}:/bin/sh")
    file = world.folder / "passwd"
    file.write_text("\n".join(lines) + "\n")
    file.chmod(0o644)
    subprocess.run(["mount", "--bind", str(file), "/etc/passwd"], check=True)
    return world.folder / "home"


def files(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file())


@limit(90)
def test_maildir_at_home(world):
    home = accounts(world)
    mta = world.mtad(routes=MAILDIR)
    client = smtp.Client()
    code, text = client.send("from@out.example", ["Ann@box.example", "bob+tag@box.example", "dan.d@box.example"], mail.message("one", 100000))
    assert code == 250, text
    mta.wait_empty()
    for name in ("ann", "bob", "dan.d"):
        got = files(home / name)
        assert len(got) == 1 and got[0].parent == home / name / "Maildir/new", got
        st = got[0].stat()
        assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (USERS[name], USERS[name], 0o600), st
        assert stat.S_IMODE((home / name / "Maildir").stat().st_mode) == 0o700
        content = got[0].read_bytes()
        assert content.startswith(b"Return-Path: <from@out.example>\n") and mail.id_of(content) == "one" and len(content) > 90000
    mta.wait_log("status=sent (delivered to maildir)", count=3)
    assert "relay=local" in mta.log() and "/local[" in mta.log()
    assert mta.status()["audit"]["balanced"] is True and mta.ctl("status", "--quiet", json_output=False)[0] == 0
    assert not [r for r in mta.roles() if r["role"] == "local"]
    wait_for("no process of a user is left", lambda: not [p for p in pathlib.Path("/proc").glob("[0-9]*/comm") if p.read_text().strip() == "mta-local"])


@limit(90)
def test_who_is_nobody(world):
    """Unknown users are refused at RCPT; root waits; a user that is made is known within seconds."""
    accounts(world)
    mta = world.mtad(routes=MAILDIR)
    client = smtp.Client()
    assert client.say("MAIL FROM:<a@from.example>")[0] == 250
    for name in ("nobody2", "ann/../bob", "", "an", "annn", "-ann", ".", "x" * 60):
        code, text = client.say(f'RCPT TO:<"{name}"@box.example>')
        assert code in (550, 501, 553), (name, text)
    code, text = client.say("RCPT TO:<nobody2@box.example>")
    assert code == 550 and "5.1.1" in text, text
    code, text = client.say("RCPT TO:<root@box.example>")
    assert 400 <= code < 500, text
    with open("/etc/passwd", "a") as file:
        file.write(f"nobody2:x:2099:2099::{world.folder}/home/ann:/bin/sh\n")
    wait_for("the new user is known", lambda: client.say("RCPT TO:<nobody2@box.example>")[0] == 250, 15, 0.5)


@limit(120)
def test_mbox(world):
    """Read by Python's mailbox module; quoted; others' locks are waited for; nothing is lost among many."""
    accounts(world)
    spool = world.folder / "spool"
    spool.mkdir()
    os.chown(spool, 0, 8)
    spool.chmod(0o2775)
    mta = world.mtad(routes=MBOX.format(spool))
    assert smtp.Client().send("from@out.example", "ann@box.example", "Subject: x\r\nMessage-ID: <id-first-x@ledger.example>\r\n\r\nFrom me\r\n>From you\r\n")[0] == 250
    mta.wait_empty()
    box = spool / "ann"
    st = box.stat()
    assert (st.st_uid, st.st_gid) == (USERS["ann"], 8) and stat.S_IMODE(st.st_mode) == 0o660, st
    assert b"\n>From me\n>>From you\n" in box.read_bytes()
    ledger = mail.Ledger(60, recipient="ann@box.example", sessions=3)
    ledger.finish()
    mta.wait_empty(60)
    got = [bytes(m) for m in mailbox.mbox(box)]
    assert len(got) == 61 and ledger.compare(got) == 0
    assert not (spool / "ann.lock").exists()
    # a program that holds the lock: the mail waits for it, and comes
    with open(box, "r+b") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        assert smtp.Client().send("from@out.example", "ann@box.example", mail.message("held"))[0] == 250
        time.sleep(1.5)
        assert mta.count()["messages"] == 1
    mta.wait_empty()
    (spool / "ann.lock").touch()
    assert smtp.Client().send("from@out.example", "ann@box.example", mail.message("dot"))[0] == 250
    mta.wait_log("the mailbox is locked by another program", 30)
    (spool / "ann.lock").unlink()
    mta.wait_empty()
    assert {"held", "dot"} <= {mail.id_of(bytes(m)) for m in mailbox.mbox(box)}


@limit(90)
def test_links_do_not_lead_elsewhere(world):
    """What a user puts in the way is judged by that user's own rights; mail waits, and nothing is written there."""
    home = accounts(world)
    secret = world.folder / "secret"
    secret.mkdir(mode=0o700)
    spool = world.folder / "spool"
    spool.mkdir()
    os.chown(spool, 0, 8)
    spool.chmod(0o2775)
    (home / "ann" / "Maildir").symlink_to(secret)
    (spool / "bob").symlink_to(secret / "x")
    (home / "eve" / "victim").write_text("")
    os.chown(home / "eve" / "victim", USERS["eve"], USERS["eve"])
    os.link(home / "eve" / "victim", spool / "eve")
    routes = (f"route a {{ match rcpt ann@box.example fay@box.example; local maildir }}\nroute b {{ match rcpt-domain box.example; local mbox {spool} }}\n"
              "route out { match any; relay smtp://127.0.0.2:25 }")
    (home / "fay").rmdir()
    mta = world.mtad(routes=routes)
    for name in ("ann", "bob", "eve", "fay"):
        assert smtp.Client().send("from@out.example", f"{name}@box.example", mail.message(name))[0] == 250
    wait_for("all wait", lambda: len([r for row in mta.list() for r in row["recipients"] if r.get("delay_reason")]) == 4, 30)
    assert not list(secret.iterdir()) and (home / "eve" / "victim").read_text() == ""
    reasons = {r["address"].split("@")[0]: r["delay_reason"] for row in mta.list() for r in row["recipients"]}
    assert "home folder is not there" in reasons["fay"], reasons
    (home / "ann" / "Maildir").unlink()
    (spool / "bob").unlink()
    (spool / "eve").unlink()
    (home / "fay").mkdir(mode=0o700)
    os.chown(home / "fay", USERS["fay"], USERS["fay"])
    mta.wait_empty(40)


@limit(120)
def test_many_users_and_deaths(world):
    """More users than processes, the mailbox process and the users' processes killed meanwhile: nothing is lost."""
    home = accounts(world)
    mta = world.mtad(routes=MAILDIR)
    ledgers = [mail.Ledger(40, recipient=f"{name}@box.example", sessions=1) for name in USERS]
    for _ in range(4):
        time.sleep(0.3)
        for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
            try:
                if comm.read_text().strip() == "mta-local":
                    os.kill(int(comm.parent.name), signal.SIGKILL)
            except (FileNotFoundError, ProcessLookupError):
                pass
    os.kill(mta.pid_of("mailbox"), signal.SIGKILL)
    for ledger in ledgers:
        ledger.finish()
    mta.wait_empty(60)
    for name, ledger in zip(USERS, ledgers):
        assert ledger.compare(mail.in_maildir(home / name)) == 0, name
    assert mta.status()["audit"]["balanced"] is True
    mta.stop()


@limit(60)
def test_process_of_a_user_is_confined(world):
    """It is the user, with no capability, an empty root, seccomp, and nothing of ours but its channels."""
    accounts(world)
    spool = world.folder / "spool"
    spool.mkdir()
    os.chown(spool, 0, 8)
    spool.chmod(0o2775)
    mta = world.mtad(routes=MBOX.format(spool))
    (spool / "ann.lock").touch()
    assert smtp.Client().send("from@out.example", "ann@box.example", mail.message(1))[0] == 250
    found = wait_for("its process", lambda: [p.parent for p in pathlib.Path("/proc").glob("[0-9]*/comm") if p.read_text().strip() == "mta-local"])
    time.sleep(0.5)
    status = dict(line.split(":\t", 1) for line in (found[0] / "status").read_text().splitlines() if ":\t" in line)
    assert status["Uid"].split() == [str(USERS["ann"])] * 4 and status["Gid"].split() == ["8"] * 4 and status["Groups"].strip() == "", status
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0 and status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", status
    open_files = {os.readlink(p) for p in (found[0] / "fd").iterdir()}
    assert not [f for f in open_files if str(mta.log_path) in f or str(mta.queue) in f], open_files
    (spool / "ann.lock").unlink()
    mta.wait_empty()
