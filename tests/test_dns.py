"""MX data served by a name server: who is asked, who is connected to, and what becomes of mail whose domain cannot be reached."""
import email
import socket

from harness import dns, mail, smtp
from harness.core import limit, wait_for

MX_ROUTE = "route home { match rcpt-domain from.example; relay smtp://127.0.0.7:25 }\nroute out { match any; mx }"

ZONES = {
    "two.test": "@ MX 10 dead\n@ MX 20 live\ndead A 127.0.0.9\nlive A 127.0.0.2",
    "null.test": "@ MX 0 .",
    "six.test": "@ MX 10 mx\nmx AAAA ::1",
    "implicit.test": "@ A 127.0.0.2",
    "implicit6.test": "@ AAAA ::1",
    "chain.test": "@ MX 10 a\na A 127.0.0.2\nw CNAME real.chain.test.\nreal MX 10 a",
    "nowhere.test": "@ MX 10 none\n@ MX 20 a\nnone TXT \"no address\"\na A 127.0.0.2",
    "gone.test": "@ MX 10 not.exists.invalid.",
    "ours.test": "@ MX 10 good\n@ MX 20 MX.Test.Example.\n@ MX 30 backup\ngood A 127.0.0.9\nbackup A 127.0.0.8",
    "loop.test": "@ MX 10 mx.test.example.",
    "broken.test": None,
    "empty.test": "www A 127.0.0.2",
    "same.test": "@ MX 10 a\n@ MX 10 b\na A 127.0.0.2\nb A 127.0.0.4",
    # more than one packet of 1,232 octets: the answer comes by TCP (KB KB884874 died of such)
    "large.test": "\n".join(f"@ MX {20 + n} host-with-a-rather-long-name-{n:03}" for n in range(60))
                  + "\n@ MX 10 best\nbest A 127.0.0.2\n" + "\n".join(f"host-with-a-rather-long-name-{n:03} A 127.0.0.9" for n in range(60)),
    "many.test": "\n".join(f"@ MX 10 m{n}" for n in range(200)) + "\n" + "\n".join(f"m{n} A 127.0.0.9" for n in range(200)),
    "mixed.test": "@ MX 10 m\nm A 127.0.0.2\nm AAAA ::1",
    "late.test": "@ MX 10 m\nm A 127.0.0.2",
}


def world_with(world, **parts):
    sinks = {name: smtp.Sink((name, 25)) for name in ("127.0.0.2", "::1", "127.0.0.4", "127.0.0.8", "127.0.0.7")}
    server = dns.NameServer(world, ZONES)
    mta = world.mtad(routes=MX_ROUTE, extra=dns.parts(), **parts)
    return sinks, server, mta


def reports(sinks):
    """The status parts of the bounces that came back, by recipient."""
    found = {}
    for m in sinks["127.0.0.7"].messages:
        status = email.message_from_bytes(m.content).get_payload()[1].as_string()
        for line in status.splitlines():
            if line.startswith("Final-Recipient: rfc822; "):
                found[line.split("; ")[1]] = status
    return found


def reason(mta, address):
    for row in mta.list():
        for r in row["recipients"]:
            if r["address"] == address:
                return r.get("delay_reason")
    return None


@limit(120)
def test_mx_data(world):
    sinks, server, mta = world_with(world)
    client = smtp.Client()

    def send(domain):
        code, text = client.send("sender@from.example", f"user@{domain}", mail.message(domain))
        assert code == 250, (domain, text)

    reached = {"two.test": "127.0.0.2", "six.test": "::1", "implicit.test": "127.0.0.2", "implicit6.test": "::1", "chain.test": "127.0.0.2",
               "w.chain.test": "127.0.0.2", "nowhere.test": "127.0.0.2", "large.test": "127.0.0.2", "TWO.Test": "127.0.0.2"}
    bounced = {"null.test": "5.1.10", "nxdomain.invalid": "5.1.2", "nothing.two.test": "5.1.2", "loop.test": "5.4.6", "empty.test": "5.1.2"}
    kept = ["broken.test", "ours.test", "many.test"]
    for domain in [*reached, *bounced, *kept]:
        send(domain)

    def delivered():
        return {mail.id_of(m.content): place for place, sink in sinks.items() if place != "127.0.0.7" for m in sink.messages}

    wait_for("all that can be reached is", lambda: len(delivered()) >= len(reached), 30, 0.1)
    assert delivered() == reached, delivered()

    wait_for("all that never can be is returned", lambda: len(reports(sinks)) >= len(bounced), 30, 0.1)
    for domain, code in bounced.items():
        status = reports(sinks)[f"user@{domain}"]
        assert f"Status: {code}" in status and "Action: failed" in status, (domain, code, status)
    assert len(reports(sinks)) == len(bounced), reports(sinks).keys()

    for domain in kept:
        wait_for(f"{domain} says why it waits", lambda: reason(mta, f"user@{domain}"), 20, 0.2)
    assert not sinks["127.0.0.8"].sessions, "an exchanger less preferred than ourselves was connected to (RFC 5321 5.1)"
    assert mta.status()["audit"]["balanced"] is True


def test_equal_preference_is_shuffled(world):
    sinks, server, mta = world_with(world)
    mta.stop()
    mta.write_config(routes="route out { match any; mx; messages-per-connection 1 }", extra=dns.parts())
    mta.start()
    client = smtp.Client()
    for number in range(24):
        client.send("sender@from.example", "user@same.test", mail.message(number))
    mta.wait_empty()
    counts = [len(sinks[name].messages) for name in ("127.0.0.2", "127.0.0.4")]
    assert sum(counts) == 24 and min(counts) > 0, counts


def test_families_by_route(world):
    sinks, server, mta = world_with(world)
    mta.stop()
    mta.write_config(routes="route four { match rcpt four@mixed.test; mx; family ipv4 }\nroute six { match rcpt six@mixed.test; mx; family ipv6 }\n"
                            "route out { match any; mx }", extra=dns.parts())
    mta.start()
    client = smtp.Client()
    for who in ("four", "six"):
        client.send("sender@from.example", f"{who}@mixed.test", mail.message(who))
    mta.wait_empty()
    assert [mail.id_of(m.content) for m in sinks["127.0.0.2"].messages] == ["four"]
    assert [mail.id_of(m.content) for m in sinks["::1"].messages] == ["six"]


@limit(60)
def test_temporary_failure_heals(world):
    """While the name server is away mail waits; when it is back mail goes."""
    sinks, server, mta = world_with(world)
    server.stop()
    client = smtp.Client()
    assert client.send("sender@from.example", "user@late.test", mail.message("late"))[0] == 250
    wait_for("it waits, and says why", lambda: reason(mta, "user@late.test"), 30, 0.2)
    server.start()
    mta.ctl("queue", "flush")
    sinks["127.0.0.2"].wait(1, 40)


def test_dead_exchanger_that_never_answers(world):
    """The better exchanger takes no connection and refuses none: after the connect timeout the next one is tried."""
    full = socket.socket()
    full.bind(("127.0.0.9", 25))
    full.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.9", 25))
        fillers.append(filler)
    sinks = {"127.0.0.2": smtp.Sink(("127.0.0.2", 25))}
    dns.NameServer(world, ZONES)
    mta = world.mtad(routes=MX_ROUTE, extra=dns.parts() + "timeouts { connect 1s }")
    assert smtp.Client().send("sender@from.example", "user@two.test", mail.message("two"))[0] == 250
    sinks["127.0.0.2"].wait(1, 20)
    mta.wait_empty()


FORBIDDEN = {"zero": "0.0.0.0", "loop4": "127.0.0.2", "multicast": "224.0.0.1", "broadcast": "255.255.255.255", "link": "169.254.1.1"}
FORBIDDEN_6 = {"loop6": "::1", "mapped": "::ffff:127.0.0.2", "link6": "fe80::1", "multicast6": "ff02::1", "any6": "::"}


def test_forbidden_targets(world):
    """MX data that points to loopback, ourselves and the like is not followed unless `connect { allow }` says so; a relay's address is exempt."""
    sink, home = smtp.Sink(("127.0.0.2", 25)), smtp.Sink(("127.0.0.7", 25))
    records = "".join(f"{name} MX 10 at-{name}\nat-{name} A {address}\n" for name, address in FORBIDDEN.items())
    records += "".join(f"{name} MX 10 at-{name}\nat-{name} AAAA {address}\n" for name, address in FORBIDDEN_6.items())
    dns.NameServer(world, {"bad.test": records, "relay.test": "hop A 127.0.0.2\nhop MX 10 elsewhere.relay.test."})
    mta = world.mtad(routes="route home { match rcpt-domain from.example; relay smtp://127.0.0.7:25 }\n"
                            "route fixed { match rcpt-domain fixed.example; relay smtp://127.0.0.2:25 }\nroute out { match any; mx }",
                     extra="resolver { stub 127.0.0.53:53; timeout 5s }")
    client = smtp.Client()
    for name in [*FORBIDDEN, *FORBIDDEN_6]:
        assert client.send("sender@from.example", f"user@{name}.bad.test", mail.message(name))[0] == 250
    assert client.send("sender@from.example", "user@fixed.example", mail.message("fixed"))[0] == 250
    sink.wait(1)

    def settled():
        back = len(home.messages)
        waiting = sum(1 for row in mta.list() for r in row["recipients"] if r.get("delay_reason"))
        return back + waiting >= len(FORBIDDEN) + len(FORBIDDEN_6)

    wait_for("each is returned or waits with a reason", settled, 30, 0.2)
    assert [mail.id_of(m.content) for m in sink.messages] == ["fixed"]
    assert sink.sessions == 1


def test_relay_host_by_name(world):
    """`relay HOST` asks for addresses only, never for MX."""
    sink = smtp.Sink(("127.0.0.2", 25))
    dns.NameServer(world, {"relay.test": "hop A 127.0.0.2\nhop MX 10 elsewhere\nelsewhere A 127.0.0.4"})
    wrong = smtp.Sink(("127.0.0.4", 25))
    mta = world.mtad(routes="route out { match any; relay smtp://hop.relay.test:25 }", extra=dns.parts())
    assert smtp.Client().send("sender@from.example", "user@to.example", mail.message("hop"))[0] == 250
    sink.wait(1)
    assert not wrong.sessions
    mta.wait_empty()
    mta.wait_log("relay=hop.relay.test[127.0.0.2]:25")


def test_client_name_is_forward_confirmed(world):
    """Received: has the client's name only when the name has the client's address."""
    sink = smtp.Sink()
    dns.NameServer(world, {"127.in-addr.arpa": "11.0.0 PTR good.name.test.\n12.0.0 PTR liar.name.test.\n13.0.0 PTR gone.name.test.\n"
                                               "14.0.0 PTR evil\\010\\013name.name.test.",
                           "name.test": "good A 127.0.0.11\nliar A 127.0.0.99"})
    world.mtad(extra=dns.parts())
    wanted = {"127.0.0.11": "good.name.test [127.0.0.11]", "127.0.0.12": "unknown [127.0.0.12]", "127.0.0.13": "unknown [127.0.0.13]",
              "127.0.0.14": "unknown [127.0.0.14]"}
    for source in wanted:
        assert smtp.Client(source=source).send("a@from.example", "b@to.example", mail.message(source))[0] == 250
    for m in sink.wait(len(wanted)):
        source = mail.id_of(m.content)
        assert wanted[source] in m.header("Received")[0], m.header("Received")
