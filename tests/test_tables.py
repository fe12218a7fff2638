"""Tables of every format in a running mtad: looked up, read again by mtactl, by SIGHUP and by themselves, all or nothing."""
import os
import signal
import time

from harness.core import wait_for
from harness.smtp import Client

PLAIN = "ann@test.example ann\nbob@test.example  bob, robert\n"
ALIASES = "postmaster: root\nroot: ann@test.example, \\root\nlist: :include:@DIR@/members\ncmd: \"|/usr/bin/prog -a b\"\n"
POSTFIX = "list@test.example lmtp:[127.0.0.1]:8024\nlong@test.example\n\tvalue\n"
REGEX = "/^(.*)-bounces@(.*)$/ $1@$2\n!/@/ local\n"

EXTRA = """
table logins  { file @DIR@/plain }
table aliases { file @DIR@/aliases; format aliases }
table maps    { file @DIR@/postfix; format postfix }
table shapes  { file @DIR@/regex; format regex }
table short   { inline one two; entry three 3 }
table domains { file @DIR@/domains }
"""
ROUTES = "route home { match rcpt-domain domains; discard }\nroute out { match any; relay smtp://127.0.0.2:25 }"


def start(world):
    folder = world.folder / "mta"
    folder.mkdir(exist_ok=True)
    texts = {"plain": PLAIN, "aliases": ALIASES, "postfix": POSTFIX, "regex": REGEX, "members": "carol\ndave@test.example\n", "domains": "home.example\n"}
    for name, text in texts.items():
        (folder / name).write_text(text.replace("@DIR@", str(folder)))
    return world.mtad(routes=ROUTES, extra=EXTRA)


def look(mta, table, key):
    code, text = mta.ctl("table", "lookup", table, key, json_output=False)
    return text.rstrip("\n") if code == 0 else code


def write(mta, name, text):
    """As an editor does: whole, and in one step."""
    new = mta.folder / (name + ".new")
    new.write_text(text)
    os.rename(new, mta.folder / name)


def test_lookup_answers_for_every_format(world):
    mta = start(world)
    assert look(mta, "logins", "ANN@test.example") == "ann"
    assert look(mta, "logins", "bob@test.example") == "bob, robert"
    assert look(mta, "logins", "nobody@test.example") == 1
    assert look(mta, "aliases", "root") == "ann@test.example, \\root"
    assert look(mta, "aliases", "list") == f":include:{mta.folder}/members"
    assert look(mta, "aliases", "cmd") == '"|/usr/bin/prog -a b"'
    assert look(mta, "maps", "long@test.example") == "value"
    assert look(mta, "shapes", "dev-bounces@lists.example") == "dev@lists.example"
    assert look(mta, "shapes", "root") == "local"
    assert look(mta, "shapes", "a@b") == 1
    assert look(mta, "short", "three") == "3"
    assert look(mta, "short", "one") == ""
    assert look(mta, "none", "x") == 1
    row = mta.ctl("table", "lookup", "shapes", "dev-bounces@lists.example")
    assert row == [{"table": "shapes", "key": "dev-bounces@lists.example", "value": "dev@lists.example", "line": 1}], row
    rows = {r["table"]: r for r in mta.ctl("table", "list")}
    assert rows["aliases"]["format"] == "aliases" and rows["aliases"]["entries"] == 7 and rows["shapes"]["entries"] == 2, rows
    mta.stop()


def test_reload_is_all_or_nothing(world):
    mta = start(world)
    assert mta.status()["config_generation"] == 1
    write(mta, "plain", "ann@test.example other\n")
    write(mta, "regex", "/(/ broken\n")
    rows = mta.ctl("table", "reload")
    assert rows[-1] == {"done": False, "generation": 1}, rows
    assert rows[0]["problem"].startswith(f"{mta.folder}/regex:1:3: error: the pattern cannot be used: "), rows
    assert look(mta, "logins", "ann@test.example") == "ann" and look(mta, "shapes", "x-bounces@y") == "x@y"
    write(mta, "regex", "/./ any\n")
    assert mta.ctl("table", "reload")[-1] == {"done": True, "generation": 2}
    assert look(mta, "logins", "ann@test.example") == "other" and look(mta, "shapes", "x-bounces@y") == "any"
    assert mta.status()["config_generation"] == 2
    os.unlink(mta.folder / "members")
    code, text = mta.ctl("table", "reload", json_output=False)
    assert code == 1 and f"{mta.folder}/aliases:3:7: error: cannot read `{mta.folder}/members': No such file or directory" in text, text
    assert look(mta, "aliases", ":include:" + str(mta.folder / "members")) == "carol, dave@test.example"
    mta.stop()


def test_sighup_reads_tables_and_no_connection_is_dropped(world):
    mta = start(world)
    client = Client()
    client.say("MAIL FROM:<a@x.example>")
    assert client.say("RCPT TO:<x@home.example>")[0] == 250
    write(mta, "domains", "home.example\nnew.example\n")
    os.kill(mta.process.pid, signal.SIGHUP)
    mta.wait_log("tables are read again: generation 2")
    assert client.say("RCPT TO:<x@new.example>")[0] == 250
    assert client.say("DATA")[0] == 354
    assert client.data(b"Subject: s\r\n\r\nx\r\n")[0] == 250
    mta.wait_log("to=<x@new.example>, relay=none, delay=")
    # whoever starts now has the new ones as well
    os.kill(mta.pid_of("tables"), signal.SIGKILL)
    os.kill(mta.pid_of("receiver"), signal.SIGKILL)
    wait_for("both are back", lambda: all(r["state"] == "running" for r in mta.roles()))
    assert look(mta, "shapes", "x-bounces@y") == "x@y"
    again = Client()
    again.say("MAIL FROM:<a@x.example>")
    assert again.say("RCPT TO:<x@new.example>")[0] == 250
    again.close()
    client.close()
    mta.stop()


def test_a_changed_file_is_noticed(world):
    mta = start(world)
    write(mta, "plain", "ann@test.example third\n")
    mta.wait_log("tables are read again: generation 2")
    assert look(mta, "logins", "ann@test.example") == "third"
    write(mta, "plain", "bad\001\n")
    mta.wait_log("tables cannot be read again")
    time.sleep(3)
    assert mta.log().count("tables cannot be read again") == 1
    assert look(mta, "logins", "ann@test.example") == "third"
    write(mta, "plain", "ann@test.example fourth\n")
    mta.wait_log("tables are read again: generation 3")
    assert look(mta, "logins", "ann@test.example") == "fourth"
    mta.stop()


def test_what_was_changed_in_the_configuration_itself_waits_for_a_restart(world):
    mta = start(world)
    mta.config_path.write_text("nonsense\n")
    write(mta, "plain", "ann@test.example new\n")
    assert mta.ctl("table", "reload")[-1]["done"]
    assert look(mta, "logins", "ann@test.example") == "new"
    mta.stop()
