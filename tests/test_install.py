"""`make install` into a folder of its own."""
import os
import re
import shutil
import subprocess

from harness.core import BUILD, ROOT, Skip, limit, wait_for
from harness.smtp import Client


def install(folder, **environment):
    done = subprocess.run(["meson", "install", "-C", str(BUILD), "--no-rebuild", "--quiet"], capture_output=True, text=True,
                          env=dict(os.environ, DESTDIR=str(folder), **environment))
    assert done.returncode == 0, done.stdout + done.stderr


def installed(folder):
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_install_with_destdir_puts_everything_there_and_keeps_a_configuration(world):
    folder = world.folder / "dest"
    install(folder)
    have = installed(folder)
    for path in ("usr/local/sbin/mtad", "usr/local/bin/mtactl", "usr/local/share/man/man8/mtad.8", "usr/local/share/man/man5/mta.conf.5",
                 "usr/local/share/man/man1/mtactl.1", "usr/local/sbin/sendmail", "usr/local/lib/sendmail", "usr/local/bin/mailq", "usr/local/bin/newaliases",
                 "usr/local/share/man/man1/sendmail.1", "usr/local/share/man/man1/mailq.1", "usr/local/share/man/man1/newaliases.1", "usr/local/bin/mtabench", "usr/local/share/man/man1/mtabench.1", "usr/local/lib/systemd/system/mta.service", "etc/mta/mta.conf",
                 "usr/local/share/doc/bulkhead/README.md", "usr/local/share/doc/bulkhead/examples/null-client.conf"):
        assert path in have, f"{path} is not among {sorted(have)}"
    version = subprocess.run([folder / "usr/local/sbin/mtad", "--version"], capture_output=True, text=True)
    assert version.returncode == 0 and version.stdout.startswith("mtad (Bulkhead) "), version
    configuration = folder / "etc/mta/mta.conf"
    check = subprocess.run([folder / "usr/local/sbin/mtad", "--check", "-c", configuration], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr
    configuration.write_text("# mine\n")
    install(folder)
    assert configuration.read_text() == "# mine\n"
    outside = [p for p in have if not p.startswith(("usr/local/", "etc/mta/"))]
    assert not outside, outside


def test_install_unit_is_what_systemd_accepts(world):
    folder = world.folder / "dest"
    install(folder)
    unit = folder / "usr/local/lib/systemd/system/mta.service"
    text = unit.read_text()
    assert "@" not in re.sub(r"@(system-service|io-event|setuid)", "", text), "a name was not filled in"
    for line in ("Type=notify", "ExecStart=/usr/local/sbin/mtad", "NoNewPrivileges=yes", "ProtectSystem=strict"):
        assert line in text.splitlines(), line
    # Whatever Landlock, seccomp and io_uring need must be let through, or the master could not confine its children.
    for call in ("seccomp", "landlock_restrict_self", "io_uring_setup", "chroot"):
        assert call in text, call
    if not shutil.which("systemd-analyze"):
        return
    local = world.folder / "mta.service"  # with programs that exist here
    local.write_text(re.sub(r"/usr/local/sbin/mtad", str(BUILD / "mta/master/mtad"), text))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(local)], capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if "mta.service" in line and "not executable" not in line]
    assert not complaints, complaints


def own_etc(world):
    """A copy of /etc over /etc, in the namespace of this test: users can be made that the machine does not get."""
    etc = world.folder / "etc"
    shutil.copytree("/etc", etc, symlinks=True, ignore_dangling_symlinks=True)
    subprocess.run(["mount", "--bind", str(etc), "/etc"], check=True)


def test_install_make_users_makes_what_is_missing_and_nothing_twice(world):
    if os.geteuid() != 0 or not shutil.which("useradd"):
        raise Skip("needs root and useradd")
    own_etc(world)
    wanted = subprocess.run([ROOT / "tools/make-users", "--list"], capture_output=True, text=True, check=True).stdout.split("\n")[:-1]
    first = subprocess.run([ROOT / "tools/make-users"], capture_output=True, text=True)
    assert first.returncode == 0, first.stdout + first.stderr
    for kind, name in (line.split() for line in wanted):
        database = "passwd" if kind == "user" else "group"
        subprocess.run(["getent", database, name], check=True, stdout=subprocess.DEVNULL)
    before = (open("/etc/passwd").read(), open("/etc/group").read())
    second = subprocess.run([ROOT / "tools/make-users"], capture_output=True, text=True)
    assert second.returncode == 0 and second.stdout == "", second.stdout + second.stderr
    assert before == (open("/etc/passwd").read(), open("/etc/group").read())


def test_install_users_are_those_that_the_program_asks_for(world):
    listed = subprocess.run([ROOT / "tools/make-users", "--list"], capture_output=True, text=True, check=True).stdout
    table = (ROOT / "mta/ipc/roles.h").read_text()
    asked = set(re.findall(r'"(_mta-\w+)"', table))
    assert asked == set(re.findall(r"^user (\S+)$", listed, re.M))


@limit(120)
def test_install_with_users_runs_each_role_as_its_own(world):
    if os.geteuid() != 0 or not shutil.which("useradd"):
        raise Skip("needs root and useradd")
    own_etc(world)
    subprocess.run([ROOT / "tools/make-users"], check=True, stdout=subprocess.DEVNULL)
    mta = world.mtad()
    for role in mta.roles():
        if role["role"] == "master":
            continue
        owner = os.stat(f"/proc/{role['pid']}").st_uid
        status = open(f"/proc/{role['pid']}/status").read()
        uid = int(re.search(r"^Uid:\s+(\d+)", status, re.M).group(1))
        name = subprocess.run(["id", "-un", str(uid)], capture_output=True, text=True).stdout.strip()
        assert name == f"_mta-{role['role']}", f"{role['role']} runs as {uid} {name} ({owner})"
    mta.stop()


def test_install_unit_capabilities_are_enough(world):
    """Run with what the unit leaves to the master, and no more: mail arrives in a Maildir, and every layer but the ring's is on."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    unit = (ROOT / "packaging/mta.service").read_text()
    capabilities = re.search(r"^CapabilityBoundingSet=(.*)$", unit, re.M).group(1).lower().replace("cap_", "").split()
    confined = ["setpriv", "--no-new-privs", "--bounding-set=-all," + ",".join("+" + c for c in capabilities), "--inh-caps=-all"]
    mta = world.mtad(prefix=confined, routes="route here { match rcpt-domain here.example; maildir @DIR@/mail/{local} }",
                     extra="mailbox { create on }\nsandbox { engine epoll }")
    client = Client()
    code, text = client.send("a@client.example", "b@here.example", "Subject: x\r\n\r\nx\r\n")
    assert code == 250, text
    wait_for("it is in the Maildir", lambda: list((mta.mail / "b/new").glob("*")))
    layers = mta.status()["sandbox"]["layers"]
    assert {"uid", "root", "seccomp"} <= set(layers), layers
    mta.stop()
