"""Kernels with less: Landlock capped by mtad's switch. Mail flows, the missing layers are told with what they leave open, `require all` refuses."""
import os

from harness import core, mail, smtp
from harness.core import limit

ALWAYS = {"uid", "no-new-privs", "not-dumpable", "limits", "root", "seccomp"}
FILES, NET, SCOPE = "landlock-files", "landlock-net", "landlock-scope"

# Landlock's version -> the layers that every process has. Version 1 cannot move a file between folders, so roles with folders go without it.
VERSIONS = {
    0: set(),
    1: set(),
    2: {FILES},
    3: {FILES},
    4: {FILES, NET},
    5: {FILES, NET},
    6: {FILES, NET, SCOPE},
}

# What is said of a layer that is off; by the way into status and into the log.
OPEN = {
    FILES: "landlock-files is off: manager and mailbox could open files outside their folders, as far as file permissions allow",
    NET: "landlock-net is off: connector and resolver could connect to any TCP port",
    SCOPE: "landlock-scope is off: with log { to syslog } a process could send datagrams to abstract Unix sockets of other programs",
}

ROUTES = "route box { match rcpt-domain box.example; maildir @DIR@/mail/{domain}/{local} }\nroute out { match any; relay smtp://127.0.0.2:25 }"


def capped(world, version, **parts):
    if os.geteuid() != 0:
        raise core.Skip("needs root")
    mta = world.mtad(name=f"v{version}", routes=ROUTES, start=False, **parts)
    mta.start(wait=False, arguments=["--landlock-max", str(version)])
    return mta


def check(world, sink, version):
    mta = capped(world, version, extra="mailbox { create on }")
    mta.wait_ready()
    expected = VERSIONS[version]
    missing = [OPEN[layer] for layer in (FILES, NET, SCOPE) if layer not in expected]
    shown = mta.status()["sandbox"]
    assert set(shown["layers"]) - {"ring"} == ALWAYS | expected, (version, shown)
    assert shown["open"] == missing, (version, shown)
    for sentence in OPEN.values():
        assert mta.log().count("warning: " + sentence) == (sentence in missing), (version, sentence)
    code, text = mta.ctl("status", json_output=False)
    assert code == 0 and all(sentence in text for sentence in missing), text

    already = len(sink.messages)
    code, text = smtp.Client().send("a@from.example", ["u@box.example", "v@to.example"], mail.message(f"version {version}", 30000))
    assert code == 250, text
    mta.wait_empty()
    assert len(sink.messages) == already + 1 and len(mail.in_maildir(mta.mail)) == 1
    assert all(r["restarts"] == 0 for r in mta.roles())
    mta.stop()


@limit(90)
def test_old_landlock_is_told_and_mail_flows(world):
    sink = smtp.Sink()
    for version in VERSIONS:
        check(world, sink, version)


@limit(60)
def test_require_all_refuses_old_landlock(world):
    for version, missing in ((0, f"{FILES},{NET},{SCOPE}"), (3, f"{NET},{SCOPE}"), (5, SCOPE)):
        mta = capped(world, version, extra="sandbox { require all }")
        code = mta.process.wait(60)
        assert code == 1, (code, mta.log())
        assert f"sandbox {{ require all }} is set, and this system lacks: {missing}\n" in mta.log(), mta.log()


@limit(60)
def test_require_all_starts_where_all_is_there(world):
    mta = capped(world, 6, extra="sandbox { require all }")
    mta.wait_ready()
    assert mta.status()["sandbox"]["open"] == []
    mta.stop()
