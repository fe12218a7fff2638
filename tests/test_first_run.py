"""`make run`: what a new user sees, as root, as an ordinary user, below a home of mode 0700, and the commands that it prints, as they are printed."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import test_install
from harness.core import BUILD, ROOT, Skip, limit, wait_for

ORDINARY = 65534  # nobody


def home(world, uid=0):
    """A home of mode 0700 with the built programs in it, since a checkout may be where an ordinary user cannot go."""
    place = world.folder / "home"
    (place / "build/mta/master").mkdir(parents=True)
    (place / "build/tools").mkdir()
    shutil.copy(BUILD / "mta/master/mtad", place / "build/mta/master/mtad")
    shutil.copy(BUILD / "tools/mtactl", place / "build/tools/mtactl")
    (place / "tools").mkdir()
    shutil.copy(ROOT / "tools/first-run", place / "tools/first-run")
    shutil.copy(ROOT / "README.md", place / "README.md")
    if uid:
        for path in [place, *place.rglob("*")]:
            os.chown(path, uid, uid)
    place.chmod(0o700)
    return place


def first_run(place, uid=0, **environment):
    argv = [str(place / "tools/first-run")]
    if uid:
        argv = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *argv]
    return subprocess.Popen(argv, cwd=place, env=dict(os.environ, BUILD="build", **environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            stdin=subprocess.DEVNULL, start_new_session=True)


def once(place, uid=0):
    process = first_run(place, uid, ONCE="1")
    text = process.communicate(timeout=80)[0].decode()
    assert process.returncode == 0, text
    return text


def check_once(place, text):
    path = re.search(r"arrived here:\n\s+(/\S+/new/\S+)", text)
    assert path, text
    content = pathlib.Path(path.group(1)).read_text()
    assert content.startswith("Return-Path: <") and 'filename="README.md"' in content, content[:2000]
    for word in ("250 2.0.0", "Delivered-To: captain@bulkhead.example", "What `mtactl status' says:", "receiver", "Done (ONCE=1)"):
        assert word in text, f"{word!r} is missing in\n{text}"
    assert (place / "run/queue").is_dir()


def test_first_run_as_root_below_a_closed_home_arrives(world):
    place = home(world)
    check_once(place, once(place))
    check_once(place, once(place))  # and again, on the state that the first one left


def test_first_run_goes_on_after_the_users_were_made(world):
    if os.geteuid() != 0 or not shutil.which("useradd"):
        raise Skip("needs root and useradd")
    place = home(world)
    check_once(place, once(place))
    test_install.own_etc(world)
    subprocess.run([ROOT / "tools/make-users"], check=True, stdout=subprocess.DEVNULL)
    check_once(place, once(place))


def test_first_run_as_ordinary_user_arrives(world):
    if os.geteuid() != 0:
        raise Skip("only root can become another user")
    place = home(world, ORDINARY)
    world.folder.chmod(0o755)
    try:
        subprocess.run(["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups", "true"], check=True)
    except (OSError, subprocess.CalledProcessError):
        raise Skip("this namespace has one user only")
    check_once(place, once(place, ORDINARY))


def commands(text):
    """Each printed way to send, by its heading."""
    parts = re.split(r"^# (swaks|curl|bash, by hand|and look at it)$", text, flags=re.M)
    return {parts[i]: parts[i + 1] for i in range(1, len(parts), 2)}


@limit(120)
def test_first_run_printed_commands_work_as_they_are(world):
    place = home(world)
    process = first_run(place)
    output = bytearray()
    os.set_blocking(process.stdout.fileno(), False)

    def printed():
        output.extend(process.stdout.read() or b"")
        assert process.poll() is None, output.decode()
        return b"Ctrl-C ends" in output

    try:
        wait_for("the commands are printed", printed, 60)
        ways = commands(output.decode())
        new = place / "run/mail/bulkhead.example/captain/new"
        for count, name in enumerate(("swaks", "curl", "bash, by hand"), start=2):
            done = subprocess.run(["sh", "-c", ways[name]], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
            wait_for(f"the message by {name} is there", lambda: len(list(new.iterdir())) == count)
        look = subprocess.run(["sh", "-ec", ways["and look at it"].split("\n\n")[0]], capture_output=True, text=True, timeout=60)
        assert look.returncode == 0 and "receiver" in look.stdout, look.stdout + look.stderr
        second = first_run(place)
        said = second.communicate(timeout=30)[0].decode()
        assert second.returncode == 1 and said.count("\n") == 1 and "2525" in said, said
    finally:
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to everybody
    assert process.wait(40) == 0
    assert not (place / "run/control.sock").exists()


def test_first_run_busy_port_is_one_line(world):
    place = home(world)
    for address in ("127.0.0.1", "::1"):  # the first is seen before the start, the second by mtad
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as other:
            other.bind((address, 2525))
            other.listen()
            process = first_run(place, ONCE="1")
            said = process.communicate(timeout=60)[0].decode()
        assert process.returncode == 1 and said.count("\n") == 1 and "2525" in said and "ss -ltnp" in said, said


def test_first_run_state_of_somebody_else_is_one_line(world):
    if os.geteuid() != 0:
        raise Skip("only root can become another user")
    place = home(world, ORDINARY)
    (place / "run").mkdir(mode=0o700)
    process = first_run(place, ORDINARY, ONCE="1")
    said = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 1 and said.count("\n") == 1 and "cannot write to" in said, said
