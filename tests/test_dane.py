"""DANE (RFC 7672): TLSA records that the DNS vouches for decide how mail is sent; nothing makes it go in the clear, or to another's certificate."""
import hashlib

from harness import signed, tls
from harness.core import wait_for
from harness.smtp import Client, Sink
from test_tls_client import deferred, server_side

OUT = "listen main { address 127.0.0.1:25; trust local }"


def digest(chain, selector, index=0, kind="sha256"):
    """The digest that a TLSA record has of certificate number `index` of a file: of all of it (0) or of its key (1)."""
    pem = "-----BEGIN CERTIFICATE-----" + chain.read_text().split("-----BEGIN CERTIFICATE-----")[index + 1]
    if selector == 0:
        octets = tls.openssl("x509", "-outform", "DER", input=pem.encode())
    else:
        octets = tls.openssl("pkey", "-pubin", "-outform", "DER", input=tls.openssl("x509", "-noout", "-pubkey", input=pem.encode()))
    return hashlib.new(kind, octets).hexdigest()


def tlsa(host, *records):
    return "".join(f"_25._tcp.{host}. TLSA {usage} {selector} {matching} {data}\n" for usage, selector, matching, data in records)


def host(name, address, *records):
    return f"{name}. MX 10 mx.{name}.\nmx.{name}. A {address}\n" + tlsa(f"mx.{name}", *records)


def send(*domains):
    c = Client()
    for domain in domains:
        code, text = c.send("a@from.example", f"b@{domain}", b"Subject: x\r\n\r\nwords\r\n")
        assert code == 250, text
    c.say("QUIT")


def reasons(server):
    return {r["address"].split("@")[1]: r.get("delay_reason", "") for row in server.list() for r in row["recipients"]}


def test_dane(world):
    ca, other = tls.Authority(world.folder / "ca"), tls.Authority(world.folder / "other", "Other")
    good = ca.issue("good", ["mx.ta.example"])                            # its name is right for one host alone
    expired = ca.issue("expired", ["nobody.example"], days=0)
    wrong = "00" * 32
    ee1, ee0, ta0, ta1 = digest(good[0], 1), digest(good[0], 0), digest(good[0], 0, 1), digest(good[0], 1, 1)
    sha512 = digest(good[0], 1, kind="sha512")
    sinks = {number: Sink((f"127.0.0.{number}", 25), tls=server_side(*good)) for number in range(10, 24)}
    sinks[30] = Sink(("127.0.0.30", 25), tls=server_side(*expired))
    sinks[31] = Sink(("127.0.0.31", 25))                                  # no STARTTLS at all
    sinks[32] = Sink(("127.0.0.32", 25), answers={"STARTTLS": b"454 4.7.0 no\r\n"}, tls=server_side(*good))
    unsigned = ("mx.unsigned.example. A 127.0.0.22\nunsigned.example. MX 10 mx.unsigned.example.\n" + tlsa("mx.unsigned.example", (3, 1, 1, wrong)))
    bogus = "mx.bogus.example. A 127.0.0.23\nbogus.example. MX 10 mx.bogus.example.\n" + tlsa("mx.bogus.example", (3, 1, 1, ee1))
    zone = (host("ee.example", "127.0.0.10", (3, 1, 1, ee1)) + host("cert.example", "127.0.0.11", (3, 0, 1, ee0)) + host("ta.example", "127.0.0.12", (2, 0, 1, ta0))
            + host("takey.example", "127.0.0.13", (2, 1, 1, ta1))         # authority is right, name is not
            + host("wrong.example", "127.0.0.14", (3, 1, 1, wrong)) + host("rolled.example", "127.0.0.15", (3, 1, 1, wrong), (3, 1, 1, ee1))
            + host("strong.example", "127.0.0.16", (3, 1, 2, sha512)) + host("agile.example", "127.0.0.17", (3, 1, 1, wrong), (3, 1, 2, sha512))
            + host("pkix.example", "127.0.0.18", (1, 1, 1, wrong)) + host("odd.example", "127.0.0.19", (3, 1, 9, wrong))
            + host("none.example", "127.0.0.20")
            + host("old.example", "127.0.0.30", (3, 1, 1, digest(expired[0], 1))) + host("clear.example", "127.0.0.31", (3, 1, 1, ee1))
            + host("refused.example", "127.0.0.32", (3, 1, 1, ee1)) + host("clearodd.example", "127.0.0.31", (1, 1, 1, wrong)))
    dns = signed.SignedServer(world, zone, {"unsigned.example": (unsigned, "unsigned"), "bogus.example": (bogus, "bogus")})
    server = world.mtad(listen=OUT, routes="route out { match any; mx { tls dane opportunistic } }", queue="retry 2s; expire 1d", extra=dns.parts())

    through = ["ee", "cert", "ta", "rolled", "strong", "agile", "pkix", "odd", "none", "old", "unsigned"]
    kept = {"wrong": "TLS is required by DANE, but the TLS handshake failed with host mx.wrong.example[127.0.0.14]: ",
            "takey": "TLS is required by DANE, but the TLS handshake failed with host mx.takey.example[127.0.0.13]: ",
            "clear": "TLS is required by DANE, but it was not offered by host mx.clear.example[127.0.0.31]",
            "refused": "TLS is required by DANE, but it was refused by host mx.refused.example[127.0.0.32]: 4.7.0 no",
            "clearodd": "TLS is required by DANE, but it was not offered",
            "bogus": "DNSSEC"}
    send(*(f"{name}.example" for name in (*through, *kept)))
    wait_for("what may go has gone", lambda: {m.recipients[0].split("@")[1].split(".")[0] for s in sinks.values() for m in s.messages} >= set(through) or None)
    got = wait_for("every other one has its reason", lambda: (lambda r: r if set(r) == {f"{k}.example" for k in kept} and all(r.values()) else None)(reasons(server)))
    for name, words in kept.items():
        assert words in got[f"{name}.example"], (name, got[f"{name}.example"])
    arrived = {m.recipients[0].split("@")[1].split(".")[0] for s in sinks.values() for m in s.messages}
    assert arrived == set(through), arrived
    log = server.log()
    for name in ("ee", "cert", "ta", "rolled", "strong", "agile", "old"):
        assert f"Verified TLS connection established to mx.{name}.example[" in log, name
    for name in ("pkix", "odd", "none", "unsigned"):
        assert f"Untrusted TLS connection established to mx.{name}.example[" in log, name
    assert all(r["restarts"] == 0 for r in server.roles())

    # the record is put right (a rollover): what was kept goes
    dns.change(zone.replace(tlsa("mx.wrong.example", (3, 1, 1, wrong)), tlsa("mx.wrong.example", (3, 1, 1, wrong), (3, 1, 1, ee1))))
    server.ctl("queue", "flush")
    wait_for("the one that was wrong has gone", lambda: "wrong.example" not in reasons(server), 60, 0.3)


def test_dane_tlsa_held_back(world):
    """A TLSA answer that does not come, or comes without a proof, is no leave to go on without: the next host, or later."""
    ca = tls.Authority(world.folder / "ca")
    good = ca.issue("good", ["mx.example"])
    main, backup = Sink(("127.0.0.10", 25), tls=server_side(*good)), Sink(("127.0.0.11", 25), tls=server_side(*good))
    # the hosts' addresses are in a signed zone; the TLSA records of the first in one that cannot be believed
    root = ("two.example. MX 10 first.example.\ntwo.example. MX 20 second.example.\none.example. MX 10 first.example.\n"
            "first.example. A 127.0.0.10\nsecond.example. A 127.0.0.11\n" + tlsa("second.example", (3, 1, 1, digest(good[0], 1))))
    held = tlsa("first.example", (3, 1, 1, digest(good[0], 1)))
    dns = signed.SignedServer(world, root, {"_tcp.first.example": (held, "bogus")})
    server = world.mtad(listen=OUT, routes="route out { match any; mx { tls dane } }", queue="retry 2s; expire 1d", extra=dns.parts())
    send("two.example")
    assert backup.wait(1) and not main.messages
    send("one.example")
    deferred(server, "DANE: TLSA records of no host can be looked up now for one.example")
    assert not main.messages
