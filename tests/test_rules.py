"""Rules for strangers: allow and deny, HELO, names of addresses, senders' domains, lists in the DNS, and what `mtactl explain` says of them."""
import time

from harness import dns, mail, smtp
from harness.core import wait_for

ZONES = {
    "good.test": "@ MX 10 mx\nmx A 127.0.0.30\n",
    "address.test": "@ A 127.0.0.31\n",
    "null.test": "@ MX 0 .\n",
    "empty.test": "www A 127.0.0.32\n",
    "deadmx.test": "@ MX 10 nowhere\n",
    "broken.test": None,
    "127.in-addr.arpa": "30.0.0 PTR mx.good.test.\n31.0.0 PTR mx.good.test.\n32.0.0 PTR not.there.test.\n",
    "bl.test": "40.0.0.127 A 127.0.0.2\n41.0.0.127 A 127.0.0.10\n42.0.0.127 A 127.255.255.254\n43.0.0.127 A 198.51.100.1\n44.0.0.127 A 127.0.0.2\n",
    "second.test": "41.0.0.127 A 127.0.0.2\n44.0.0.127 A 127.0.0.2\n",
    "wl.test": "44.0.0.127 A 127.0.0.5\n",
    "names.test": "spam.example A 127.0.0.2\n",
    "brokenlist.test": None,
}
ROUTES = "route here { match rcpt-domain here.example; discard }\nroute out { match trusted; discard }"


def start(world, rules, more="", tables="", trust="127.0.0.9"):
    dns.NameServer(world, ZONES)
    return world.mtad(listen=f"listen main {{ address 127.0.0.1:25; trust {trust}; rules strangers }}\n{tables}\nrules strangers {{\n{rules}\n}}", routes=ROUTES,
                      extra=dns.parts(more=more))


def rcpt(source="127.0.0.30", helo="mx.good.test", sender="a@good.test", to="b@here.example"):
    client = smtp.Client(source=source, greet=helo)
    code, text = client.say(f"MAIL FROM:<{sender}>")
    assert code == 250, text
    got = client.say(f"RCPT TO:<{to}>")
    client.close()
    return got


def check(cases):
    wrong = []
    for arguments, code, words in cases:
        got = rcpt(**arguments)
        if got[0] != code or words not in got[1]:
            wrong.append((arguments, code, words, got))
    assert not wrong, "\n".join(map(str, wrong))


def test_senders_domains_and_helo_names_are_looked_up(world):
    mta = start(world, "helo resolves")
    check([
        ({}, 250, ""),
        ({"sender": ""}, 250, ""),
        ({"sender": "a@address.test"}, 250, ""),
        ({"sender": "a@deadmx.test"}, 250, ""),
        ({"sender": "a@null.test"}, 550, "5.7.27 <a@null.test>: Sender address rejected: its domain takes no mail (null MX) (rules strangers: sender-domain)"),
        ({"sender": "a@empty.test"}, 550, "5.1.8 <a@empty.test>: Sender address rejected: Domain not found"),
        ({"sender": "a@no.such.test"}, 550, "5.1.8"),
        ({"sender": "a@broken.test"}, 450, "4.1.8"),
        ({"sender": "a@[127.0.0.30]"}, 250, ""),
        ({"helo": "no.such.test"}, 550, "Helo command rejected: Host not found (rules strangers: helo, line"),
        ({"helo": "x.broken.test"}, 450, "cannot be looked up now"),
        ({"helo": "[127.0.0.30]"}, 250, ""),
        ({"helo": "127.0.0.30"}, 554, "an address stands in brackets"),
        ({"helo": "mx.test.example"}, 554, "that is our name"),
        ({"helo": "plain"}, 554, "5.5.2 <plain>: Helo command rejected: need fully-qualified hostname"),
        ({"helo": "plain", "sender": "a@broken.test", "source": "127.0.0.9", "to": "x@elsewhere.example"}, 250, ""),   # trusted
        ({"to": "x@elsewhere.example", "sender": "a@no.such.test"}, 554, "Relay access denied"),                    # asked first
    ])
    mta.wait_log("NOQUEUE: reject: RCPT from mx.good.test[127.0.0.30]: 550 5.1.8 <a@empty.test>: Sender address rejected: Domain not found (rules strangers: sender-domain);")
    # Pipelined: each waits for its answer, and all come in order.
    client = smtp.Client(source="127.0.0.30", greet="mx.good.test")
    client.raw(b"MAIL FROM:<a@good.test>\r\nRCPT TO:<b@here.example>\r\nRCPT TO:<c@here.example>\r\nRSET\r\nMAIL FROM:<a@empty.test>\r\nRCPT TO:<b@here.example>\r\nDATA\r\nQUIT\r\n")
    assert [client.reply()[0] for _ in range(8)] == [250, 250, 250, 250, 250, 550, 554, 221]


def test_names_of_addresses(world):
    mta = start(world, "reverse-name confirmed; helo off; sender-domain off")
    check([
        ({"source": "127.0.0.30", "helo": "any"}, 250, ""),
        ({"source": "127.0.0.31"}, 550, "5.7.25 <127.0.0.31>: Client host rejected: the name of its address does not have that address"),
        ({"source": "127.0.0.32"}, 550, "5.7.25"),
        ({"source": "127.0.0.33"}, 550, "cannot find your reverse hostname (rules strangers: reverse-name, line"),
    ])
    mta.stop()
    mta.write_config(mta.config_text.replace("reverse-name confirmed", "reverse-name any"))
    mta.start()
    check([({"source": "127.0.0.31"}, 250, ""), ({"source": "127.0.0.33"}, 550, "5.7.25")])


def test_allow_and_deny_by_client_helo_sender_and_recipient(world):
    verdicts = world.folder / "verdicts"
    verdicts.write_text("# who may\n127.0.0.50  OK\n127.0.0.48/28  REJECT that net is bad\nmx.good.test  450 4.7.1 later perhaps\n")
    mta = start(world, """
        allow recipient postmaster@*
        allow client 127.0.0.60/30
        deny client 127.0.0.32 answer 550 5.7.1 "you again"
        deny helo bad.example *.bad.example
        deny sender spam@good.test *@*.spam.test <>
        deny recipient secret@here.example answer 450 4.7.0 "not now"
        check client verdicts
        sender-domain off""", tables=f"table verdicts {{ file {verdicts}; format postfix }}")
    check([
        ({"source": "127.0.0.61", "helo": "bad.example", "sender": "spam@good.test"}, 250, ""),
        ({"source": "127.0.0.32", "to": "postmaster@here.example"}, 250, ""),
        ({"source": "127.0.0.32"}, 550, "5.7.1 <127.0.0.32>: you again (rules strangers: deny client, line"),
        ({"source": "127.0.0.33", "helo": "x.y.bad.example"}, 554, "5.7.1 <x.y.bad.example>: Helo command rejected: Access denied (rules strangers: deny helo"),
        ({"source": "127.0.0.33", "sender": "SPAM@good.test"}, 554, "Sender address rejected: Access denied"),
        ({"source": "127.0.0.33", "sender": "x@a.b.spam.test"}, 554, "deny sender"),
        ({"source": "127.0.0.33", "sender": ""}, 554, "deny sender"),
        ({"source": "127.0.0.33", "to": "Secret@here.example"}, 450, "4.7.0 <Secret@here.example>: not now (rules strangers: deny recipient"),
        ({"source": "127.0.0.49"}, 554, "that net is bad (rules strangers: check client"),
        ({"source": "127.0.0.50"}, 250, ""),
        ({"source": "127.0.0.30"}, 450, "4.7.1 <127.0.0.30>: later perhaps"),
        ({"source": "127.0.0.33"}, 250, ""),
        ({"source": "127.0.0.61", "to": "x@elsewhere.example"}, 554, "Relay access denied"),   # allow lets nobody relay
    ])
    # The file is read again without a restart.
    verdicts.write_text("127.0.0.33 deny gone\n")
    assert mta.ctl("table", "reload")[-1]["done"]
    wait_for("the receivers have it", lambda: rcpt(source="127.0.0.33")[0] == 554, 10, 0.2)


def test_lists_in_the_dns_with_weights(world):
    mta = start(world, """
        dnsbl bl.test weight 2 answers 127.0.0.2..10
        dnsbl second.test
        dnswl wl.test weight 3
        dnsbl names.test weight 5 of sender
        refuse-score 3
        sender-domain off""")
    check([
        ({"source": "127.0.0.40"}, 250, ""),                                            # 2
        ({"source": "127.0.0.41"}, 554, "blocked using bl.test (rules strangers: dnsbl, line"),  # 2 + 1
        ({"source": "127.0.0.42"}, 250, ""),                                            # the list does not serve us
        ({"source": "127.0.0.43"}, 250, ""),                                            # no answer of a list
        ({"source": "127.0.0.44"}, 250, ""),                                            # 2 + 1 - 3
        ({"source": "127.0.0.45", "sender": "a@spam.example"}, 554, "5.7.1 <a@spam.example>: Service unavailable; blocked using names.test"),
        ({"source": "127.0.0.45", "sender": "a@other.example"}, 250, ""),
    ])
    mta.wait_log("warning: the list bl.test does not answer questions of this host")


def test_a_list_or_a_resolver_that_does_not_answer_costs_no_mail(world):
    mta = start(world, "dnsbl brokenlist.test\nsender-domain off")
    check([({"source": "127.0.0.40"}, 250, "")])
    for pid in [mta.pid_of("resolver")]:
        __import__("os").kill(pid, 9)
    check([({"source": "127.0.0.41"}, 250, "")])
    wait_for("a new resolver", lambda: [r for r in mta.roles() if r["role"] == "resolver"][0]["state"] == "running", 20, 0.1)
    assert all(r["restarts"] == 0 for r in mta.roles() if r["role"] == "receiver")


def explain(mta, *words):
    code, text = mta.ctl("explain", *words, json_output=False)
    return code, text


def test_explain_says_what_would_happen_and_why(world):
    mta = start(world, """
        allow sender friend@partner.example
        deny client 127.0.0.32 answer 550 5.7.1 "you again"
        reverse-name any
        dnsbl bl.test""")
    lines = mta.config_text.splitlines()

    def at(words):
        return f"{mta.config_path}:{1 + next(n for n, line in enumerate(lines) if words in line)}"

    code, text = explain(mta, "b@here.example", "--from", "a@good.test", "--client", "127.0.0.30", "--helo", "mx.good.test")
    assert code == 0, text
    for words in ("stranger", "mx.good.test[127.0.0.30] at listen main", "route here", at("route here"), "sender-domain", "not listed", at("dnsbl bl.test"), at("reverse-name any")):
        assert words in text, (words, text)
    assert text.splitlines()[-1].startswith("accept?") and "yes" in text.splitlines()[-1]
    cases = [
        (("b@here.example", "--from", "a@good.test", "--client", "127.0.0.32", "--helo", "x.example"), 1, ["you again", at("deny client"), "no"]),
        (("b@here.example", "--from", "friend@partner.example", "--client", "127.0.0.33", "--helo", "localhost"), 0, ["allow sender", at("allow sender")]),
        (("b@here.example", "--from", "a@good.test", "--client", "127.0.0.33", "--helo", "x.example"), 1, ["reverse-name", "cannot find", at("reverse-name any")]),
        (("b@here.example", "--from", "a@no.such.test", "--client", "127.0.0.30", "--helo", "x.example"), 1, ["sender-domain", "Domain not found"]),
        (("x@elsewhere.example", "--from", "a@good.test", "--client", "127.0.0.30"), 1, ["Relay access denied"]),
        (("x@elsewhere.example", "--from", "a@good.test", "--client", "127.0.0.30", "--auth", "ann"), 0, ["trusted", "route out", at("route out"), "not for trusted clients"]),
        (("x@elsewhere.example", "--client", "127.0.0.9"), 0, ["trusted"]),
        (("not an address",), 1, ["this is no address"]),
    ]
    for words, want, found in cases:
        code, text = explain(mta, *words)
        assert code == want, (words, text)
        for word in found:
            assert word in text, (words, word, text)
    assert explain(mta)[0] == 2 and explain(mta, "b@here.example", "--listener", "none")[0] == 2
    rows = mta.ctl("explain", "b@here.example", "--from", "", "--client", "127.0.0.30", "--helo", "x.example")
    assert rows[-1]["rule"] == "accept?" and {"rule", "verdict", "text", "place"} <= set(rows[0])
    # As many as one likes: no slot is lost.
    for _ in range(60):
        assert explain(mta, "b@here.example", "--from", "a@good.test", "--client", "127.0.0.30", "--helo", "mx.good.test")[0] == 0
    assert smtp.Client(source="127.0.0.30", greet="mx.good.test").send("a@good.test", "b@here.example", mail.message("after"))[0] == 250
    assert "RCPT from" not in mta.log(), "an explanation leaves no line of a refusal"


def test_rules_for_trusted_clients_too_and_behind_xclient(world):
    dns.NameServer(world, ZONES)
    mta = world.mtad(listen="listen main { address 127.0.0.1:25; trust 127.0.0.9; xclient 127.0.0.8; rules all }\n"
                            "rules all { deny client 127.0.0.9 203.0.113.9; deny client unknown.example; sender-domain off; trusted on }", routes=ROUTES, extra=dns.parts())
    check([({"source": "127.0.0.9"}, 554, "deny client"), ({"source": "127.0.0.30"}, 250, "")])
    client = smtp.Client(source="127.0.0.8", greet="x.example")
    client.say("XCLIENT ADDR=203.0.113.9")
    client.say("EHLO x.example")
    client.say("MAIL FROM:<a@good.test>")
    assert client.say("RCPT TO:<b@here.example>")[0] == 554
    client.say("RSET")
    client.say("XCLIENT ADDR=203.0.113.10 NAME=unknown.example")
    client.say("EHLO x.example")
    client.say("MAIL FROM:<a@good.test>")
    assert client.say("RCPT TO:<b@here.example>")[0] == 554
    assert time.monotonic() and mta.status()["healthy"]
