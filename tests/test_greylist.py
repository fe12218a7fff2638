"""Greylisting: first attempts wait, second ones pass, good clients pass at once, and all of it is known after a restart."""
import os
import time

from harness import dns, mail, smtp
from harness.core import limit, wait_for

ROUTES = "route here { match rcpt-domain here.example; discard }\nroute box { match rcpt-domain box.example; maildir @DIR@/mail/{local} }"


def start(world, greylist="delay 2s; clients 2", rules="", **parts):
    return world.mtad(listen="listen main { address 127.0.0.1:25; trust 127.0.0.9; rules r }\n"
                             f"rules r {{ greylist on; sender-domain off\n{rules}\n}}\ngreylist {{ path {world.folder}/greylist; {greylist} }}", routes=ROUTES, **parts)


def rcpt(source="127.0.0.3", sender="a@from.example", to="b@here.example"):
    client = smtp.Client(source=source, greet="client.example")
    client.say(f"MAIL FROM:<{sender}>")
    got = client.say(f"RCPT TO:<{to}>")
    client.close()
    return got


def test_first_attempt_waits_and_the_second_passes(world):
    mta = start(world)
    code, text = rcpt()
    assert code == 450 and "4.7.1 <b@here.example>: Recipient address rejected: Greylisted, come back in 2 seconds (rules r: greylist)" in text, text
    assert rcpt()[0] == 450, "too early"
    assert rcpt(source="127.0.1.3")[0] == 450, "another network"
    assert rcpt(to="c@here.example")[0] == 450, "another recipient"
    time.sleep(2.2)
    assert rcpt(source="127.0.0.77", sender="A+tag@From.example")[0] == 250, "another machine of the same network, and the same sender with a tag"
    assert rcpt()[0] == 250
    assert rcpt(source="127.0.0.9", to="d@here.example")[0] == 250, "a trusted client"
    assert rcpt(to="x@elsewhere.example")[0] == 554, "what is refused for good is not told to come back"
    mta.wait_log("NOQUEUE: reject: RCPT from unknown[127.0.0.3]: 450 4.7.1 <b@here.example>: Recipient address rejected: Greylisted")
    # Two recipients in one transaction: each has its own answer.
    client = smtp.Client(source="127.0.0.3", greet="client.example")
    client.raw(b"MAIL FROM:<a@from.example>\r\nRCPT TO:<b@here.example>\r\nRCPT TO:<new@here.example>\r\nNOOP\r\n")
    assert [client.reply()[0] for _ in range(4)] == [250, 250, 450, 250]
    code, text = mta.ctl("explain", "new2@here.example", "--from", "a@from.example", "--client", "127.0.0.200", "--helo", "x.example", json_output=False)
    assert code == 1 and "greylist" in text and "come back" in text and f"{mta.config_path}:" in text, text
    assert rcpt(to="new2@here.example")[0] == 450, "an explanation is no attempt"


def test_network_that_proved_good_waits_no_more_and_a_restart_forgets_nothing(world):
    mta = start(world)
    for to in ("b@here.example", "c@here.example"):
        assert rcpt(to=to)[0] == 450
    time.sleep(2.2)
    assert rcpt(to="b@here.example")[0] == 250
    assert rcpt(to="new@here.example")[0] == 450
    assert rcpt(source="127.0.5.1")[0] == 450
    os.kill(mta.pid_of("greylist"), 9)
    wait_for("the next one", lambda: [r for r in mta.roles() if r["role"] == "greylist"][0]["restarts"] == 1
             and [r for r in mta.roles() if r["role"] == "greylist"][0]["state"] == "running", 20, 0.1)
    assert rcpt(to="c@here.example")[0] == 250
    assert rcpt(to="any@here.example")[0] == 250, "two of its attempts came back"
    time.sleep(2.2)
    mta.stop()
    mta.start()
    assert rcpt(to="another@here.example")[0] == 250
    assert rcpt(source="127.0.5.1")[0] == 250, "the first attempt was remembered"
    stored = (world.folder / "greylist/greylist").read_bytes()
    assert b"example" not in stored, "no address is kept"
    mta.stop()
    (world.folder / "greylist/greylist").write_bytes(stored[:-5])
    mta.start()
    mta.wait_log("the greylist's file was damaged")
    assert rcpt(source="127.0.5.1")[0] == 250
    assert smtp.Client(source="127.0.0.3", greet="x").send("a@from.example", "z@here.example", mail.message("z"))[0] == 250


def test_allowed_and_listed_as_good_are_not_greylisted_and_unknown_users_are_refused_first(world):
    dns.NameServer(world, {"wl.test": "3.0.0.127 A 127.0.0.2\n"})
    mta = start(world, rules="allow sender friend@from.example; dnswl wl.test", extra=dns.parts())
    assert rcpt(source="127.0.0.4")[0] == 450
    assert rcpt(source="127.0.0.4", sender="friend@from.example")[0] == 250
    assert rcpt(source="127.0.0.3", sender="x@from.example")[0] == 250, "known as good"
    assert rcpt(source="127.0.0.4", to="nobody@box.example")[0] == 550
    (mta.folder / "mail").mkdir(exist_ok=True)


@limit(60)
def test_mail_passes_while_the_greylist_is_away(world):
    mta = start(world, greylist="delay 1h")
    assert rcpt()[0] == 450
    pid = mta.pid_of("greylist")
    os.kill(pid, 19)   # it stands still
    began = time.monotonic()
    assert rcpt()[0] == 250
    assert time.monotonic() - began < 8
    os.kill(pid, 9)
    assert rcpt()[0] in (250, 450)
