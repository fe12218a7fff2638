"""docs/contract.md against the programs: every member that is documented is printed, every member that is printed is documented."""
import json
import os
import re
import subprocess

from harness.core import ROOT, wait_for
from harness.smtp import Client, Sink

CONTRACT = ROOT / "docs" / "contract.md"


def documented():
    """{heading: (members, optional members)} of the tables whose first column is `member`."""
    found = {}
    for heading, body in re.findall(r"(?ms)^### `mtactl --json (.*?)`$(.*?)(?=^##|\Z)", CONTRACT.read_text()):
        rows = re.findall(r"(?m)^\| `([a-z_.\[\]]+)` \| (.*) \|$", body)
        found[heading] = ({n for n, _ in rows}, {n for n, text in rows if text.startswith("(optional)")})
    return found


def paths(value, prefix=""):
    """All members of a JSON value as the tables write them; an empty array proves nothing about what is in it."""
    if isinstance(value, dict):
        return set().union(*(paths(v, f"{prefix}.{k}" if prefix else k) for k, v in value.items()))
    if isinstance(value, list):
        return set().union(*(paths(v, prefix + "[]") for v in value)) if value else {prefix + "[]*"}
    return {prefix}


def compare(name, rows, empty=()):
    """Rows of one command against its table; `empty` are arrays that may have nothing in them."""
    members, optional = documented()[name]
    printed = set()
    for row in rows:
        one = paths(row)
        hollow = {p[:-1] for p in one if p.endswith("*")}
        one = {p for p in one if not p.endswith("*")}
        printed |= one
        if name.startswith(("queue check", "config check")):
            continue
        missing = {m for m in members - optional - one if not any(m.startswith(h) for h in hollow)}
        assert not missing, f"{name}: documented, not printed: {sorted(missing)} in {row}"
    assert rows and not printed - members, f"{name}: printed, not documented: {sorted(printed - members)}"
    return printed


def deferring(world, **parts):
    """A queue with two messages that a next hop defers."""
    world.add(Sink(answers={"RCPT": b"451 4.7.1 Come back later\r\n"}))
    mta = world.mtad(queue="retry 1h; expire 1d", **parts)
    client = Client()
    for i in range(2):
        code, text = client.send(f"a{i}@test.example", ["x@example.com", "y@example.net"], "Subject: hi\n\nbody\n")
        assert code == 250, text
    client.close()
    wait_for("both are deferred", lambda: len(mta.list("--state", "deferred")) == 2)
    return mta


def test_documented_members_are_the_printed_ones(world):
    mta = deferring(world, extra="table names { entry key value }")
    rows = mta.list()
    assert compare("queue list", rows) >= documented()["queue list"][1]
    assert {"queue_name", "queue_id", "arrival_time", "message_size", "forced_expire", "sender", "recipients"} <= set(rows[0])
    assert rows[0]["recipients"][0]["delay_reason"].count("451") == 1 and rows[0]["recipients"][0]["code"] == 451
    compare("queue list", mta.ctl("queue", "show", rows[0]["queue_id"]))
    compare("queue count", mta.ctl("queue", "count"))
    assert mta.count() == mta.ctl("queue", "count", "--older", "0s", "--to", "*@example.com")[0]
    compare("queue hold|release|flush|retry-at|bounce|discard", mta.ctl("queue", "hold"))
    for verb in ("hold", "release", "flush", "bounce", "discard"):
        compare("queue hold|release|flush|retry-at|bounce|discard", mta.ctl("--yes", "queue", verb, "--id", "0123456789ABCDEF"))
    compare("queue hold|release|flush|retry-at|bounce|discard", mta.ctl("queue", "retry-at", "+1h"))
    compare("queue check", mta.ctl("queue", "check"))
    compare("site list|show", mta.ctl("site", "list"))
    compare("site list|show", mta.ctl("site", "show", "out"))
    compare("site suspend|resume", mta.ctl("site", "suspend", "out"))
    compare("site suspend|resume", mta.ctl("--yes", "site", "suspend", "out", "--reason", "a test"))
    compare("status", mta.ctl("status"))
    compare("site suspend|resume", mta.ctl("site", "resume", "out"))
    compare("table list", mta.ctl("table", "list"))
    compare("table lookup", mta.ctl("table", "lookup", "names", "key"))
    compare("table reload", mta.ctl("table", "reload"))
    compare("config check", mta.ctl("config", "check", "-c", str(mta.config_path)))
    compare("config show", mta.ctl("config", "show", "-c", str(mta.config_path)))
    compare("version", mta.ctl("version"))


def test_postfix_json_has_the_members_of_postqueue(world):
    mta = deferring(world)
    _, text = mta.ctl("queue", "list", "--format", "postfix-json", json_output=False)
    rows = [json.loads(line) for line in text.splitlines()]
    assert [set(r) for r in rows] == 2 * [{"queue_name", "queue_id", "arrival_time", "message_size", "forced_expire", "sender", "recipients"}]
    assert set(rows[0]["recipients"][0]) == {"address", "delay_reason"}
    _, text = mta.ctl("queue", "list", "--format", "mailq", json_output=False)
    assert text.splitlines()[-1].endswith("in 2 Requests."), text


def test_changes_count_first_and_want_yes(world):
    mta = deferring(world)
    code, text = mta.ctl("queue", "hold", "--from", "a0@test.example", json_output=False)
    assert code == 1 and "1 message, 2 recipients" in text and "--yes" in text, text
    assert not mta.list("--state", "held")
    code, _ = mta.ctl("--yes", "queue", "hold", "--from", "a0@test.example", "--reason", "look at it", json_output=False)
    held = mta.list("--state", "held")
    assert code == 0 and len(held) == 1 and held[0]["hold_reason"] == "look at it" and held[0]["queue_name"] == "hold"
    assert mta.ctl("--yes", "queue", "release", held[0]["queue_id"], json_output=False)[0] == 0
    assert not mta.list("--state", "held")
    assert mta.ctl("--yes", "queue", "discard", "--from", "a1@test.example", json_output=False)[0] == 0
    assert mta.count()["messages"] == 1
    assert mta.ctl("--yes", "site", "suspend", "out", json_output=False)[0] == 0
    assert mta.ctl("--yes", "queue", "bounce", "--reason", "not today", json_output=False)[0] == 0
    rows = mta.list()
    assert len(rows) == 1 and rows[0]["sender"] == "" and rows[0]["recipients"][0]["address"] == "a0@test.example", rows
    status = mta.status()
    assert status["audit"]["removed"] == 2 and status["audit"]["bounced"] == 2 and status["audit"]["balanced"], status["audit"]
    assert "verb=queue-discard from=a1@test.example messages=1" in mta.log()
    assert "sender non-delivery notification: " + rows[0]["queue_id"] in mta.log()


def test_exit_codes_are_those_of_the_contract(world):
    mta = deferring(world)

    def code(*arguments):
        return mta.ctl(*arguments, json_output=False)[0]

    assert code("status") == 0 and code("status", "--quiet") == 0
    assert code("queue", "show", "0123456789ABCDEF") == 1
    assert code("site", "show", "nowhere.example") == 1
    assert code("queue", "eat") == 2 and code("queue", "list", "--older", "x") == 2 and code() == 2
    assert code("queue", "show", "zz") == 2
    stranger = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(mta.build / "tools/mtactl"), "--socket", str(mta.socket)]
    if os.stat("/proc/self").st_uid == 0 and subprocess.run(stranger[:4] + ["true"], capture_output=True).returncode == 0:
        done = subprocess.run([*stranger, "queue", "flush"], capture_output=True, text=True)
        assert done.returncode == 4 and "not allowed" in done.stderr, done
        assert "warning: admin: uid=65534" in mta.log()
        assert subprocess.run([*stranger, "status"], capture_output=True).returncode == 4
    mta.stop()
    assert code("status") == 3
    queue_check = [str(mta.build / "tools/mtactl"), "queue", "check", "--stopped", str(mta.queue)]
    done = subprocess.run(queue_check, capture_output=True, text=True)
    assert done.returncode == 0 and "0 problems" in done.stdout, done
    mta.start()
    assert mta.count()["messages"] == 2
    done = subprocess.run(queue_check, capture_output=True, text=True)
    assert done.returncode == 4 and "mtactl queue check" in done.stderr, done


def test_groups_give_the_rights_that_the_contract_names(world):
    groups = world.folder / "group"
    groups.write_text(open("/etc/group").read() + "mtaadm:x:4242:\nmtaview:x:4243:\n")
    subprocess.run(["mount", "--bind", str(groups), "/etc/group"], check=True)
    mta = deferring(world)
    cases = [("--regid=65534", "--groups=4243", 0, 4), ("--regid=4243", "--clear-groups", 0, 4), ("--regid=65534", "--groups=7,4242", 0, 0),
             ("--regid=65534", "--groups=4244", 4, 4)]
    for regid, supplementary, look, operate in cases:
        argv = ["setpriv", "--reuid=65534", regid, supplementary, str(mta.build / "tools/mtactl"), "--socket", str(mta.socket)]
        for words, want in ((["queue", "count"], look), (["queue", "flush"], operate)):
            done = subprocess.run([*argv, *words], capture_output=True, text=True)
            assert done.returncode == want, (regid, supplementary, words, done)


def test_a_site_without_mail_is_suspended_by_its_whole_name(world):
    mta = world.mtad()
    assert mta.ctl("--yes", "site", "suspend", "relay:nowhere", json_output=False)[0] == 1
    assert mta.ctl("--yes", "site", "suspend", "relay:out", json_output=False)[0] == 0
    client = Client()
    assert client.send("a@test.example", "x@example.com", "Subject: hi\n\nbody\n")[0] == 250
    sink = world.add(Sink())
    assert mta.ctl("site", "list")[0]["suspended"] and mta.list()[0]["recipients"][0]["tries"] == 0
    assert mta.ctl("site", "resume", "out")[0]["sites"] == 1
    sink.wait(1)


def test_example_configuration_is_good_and_bad_ones_exit_78(world):
    example = re.search(r"(?ms)^## A configuration$.*?```\n(.*?)```", CONTRACT.read_text()).group(1)
    mta = world.mtad(config=example, start=False)
    mtad = str(mta.build / "mta/master/mtad")
    done = subprocess.run([mtad, "--check", "-c", str(mta.config_path)], capture_output=True, text=True)
    assert done.returncode == 0, done
    assert subprocess.run([str(mta.build / "tools/mtactl"), "config", "check", "-c", str(mta.config_path)]).returncode == 0
    mta.config_path.write_text(example + "no-such-key 1\nneither-this 2\n")
    for arguments in (["--check"], []):
        done = subprocess.run([mtad, *arguments, "-c", str(mta.config_path)], capture_output=True, text=True)
        assert done.returncode == 78 and done.stderr.count("error: ") == 2, done
    rows = mta.ctl("config", "check", "-c", str(mta.config_path))
    assert compare("config check", rows) == documented()["config check"][0] and rows[-1] == {"errors": 2, "warnings": 0}
    version = subprocess.run([mtad, "--version"], capture_output=True, text=True).stdout
    assert version == f"mtad (Bulkhead) {mta.ctl('version')[0]['version']}\n"
    assert subprocess.run([mtad, "--wrong"], capture_output=True).returncode == 64


def test_long_listing_streams_and_a_reader_that_stops_harms_nobody(world):
    count = 1500
    mta = world.mtad(queue="retry 1h; expire 1d", extra="limits { connections-per-client 100 }")
    client = Client()
    for i in range(count):
        client.raw(b"MAIL FROM:<s%d@test.example>\r\nRCPT TO:<r@example.com>\r\nDATA\r\n" % i)
        for want in (250, 250, 354):
            assert client.reply()[0] == want
        assert client.data("Subject: x\n\n.\n")[0] == 250
    client.close()
    argv = [str(mta.build / "tools/mtactl"), "--socket", str(mta.socket), "--json", "queue", "list"]
    slow = [subprocess.Popen(argv, stdout=subprocess.PIPE) for _ in range(3)]
    for process in slow:
        process.stdout.readline()
    ids = [row["queue_id"] for row in mta.list()]
    assert len(ids) == count and len(set(ids)) == count and ids == sorted(ids)
    assert mta.count()["messages"] == count and mta.ctl("queue", "count", "--from", "*@test.example")[0]["messages"] == count
    assert len(mta.list("--limit", "450")) == 450
    slow[0].kill()
    assert len(slow[1].stdout.read().splitlines()) == count - 1
    for process in slow:
        process.kill()
        process.wait()
    for _ in range(2):
        pid = mta.pid_of("manager")
        os.kill(pid, 9)
        for _ in range(5):
            assert "roles" in mta.status()  # also while there is no manager to ask
        wait_for("another manager", lambda: mta.pid_of("manager") not in (0, pid))
    wait_for("all runs again", lambda: mta.ctl("status", json_output=False)[0] == 0)
    assert mta.count()["messages"] == count
