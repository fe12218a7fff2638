"""swaks as a client: one table of what it sends and what must come of it."""
import email
import subprocess

from harness.smtp import Sink

# name, arguments of swaks, its exit code (0 sent, 23 MAIL refused, 24 no recipient taken, 26 refused after DATA), check of (messages, transcript)
CASES = [
    ("plain", [], 0, lambda m, t: b"\r\nThis is a test mailing" in m[0].content and m[0].sender == "from@from.example"),
    ("size is offered", [], 0, lambda m, t: "SIZE 1048576" in t and "8BITMIME" in t and "PIPELINING" in t and "ENHANCEDSTATUSCODES" in t),
    ("pipelined", ["--pipeline"], 0, lambda m, t: len(m) == 1),
    ("HELO", ["--protocol", "SMTP"], 0, lambda m, t: "with SMTP" in m[0].header("Received")[0]),
    ("EHLO", [], 0, lambda m, t: "with ESMTP" in m[0].header("Received")[0]),
    ("8-bit body", ["--body", "Grüße aus Köln\n"], 0, lambda m, t: "Grüße aus Köln".encode() in m[0].content),
    ("8-bit header", ["--header", "Subject: Grüße"], 0, lambda m, t: "Subject: Grüße".encode() in m[0].content),
    ("dots", ["--body", ".\n..\n.dot\nend\n"], 0, lambda m, t: b"\r\n.\r\n..\r\n.dot\r\nend\r\n" in m[0].content),
    ("three recipients", ["--to", "a@to.example,b@to.example,c@to.example"], 0,
     lambda m, t: sorted(r for one in m for r in one.recipients) == ["a@to.example", "b@to.example", "c@to.example"] and len(m) == 1),
    ("one of two recipients refused", ["--to", "no@refused.example,yes@to.example"], 0, lambda m, t: [one.recipients for one in m] == [["yes@to.example"]]),
    ("the only recipient refused", ["--to", "no@refused.example"], 24, lambda m, t: not m and "550 5.7.1" in t),
    ("null sender", ["--from", "<>"], 0, lambda m, t: m[0].sender == ""),
    ("quoted local part", ["--to", '"two words"@to.example'], 0, lambda m, t: m[0].recipients == ['"two words"@to.example']),
    ("plus address", ["--to", "user+tag@to.example"], 0, lambda m, t: m[0].recipients == ["user+tag@to.example"]),
    ("address literal", ["--to", "user@[192.0.2.1]"], 0, lambda m, t: m[0].recipients == ["user@[192.0.2.1]"]),
    ("attachment", ["--attach-type", "application/octet-stream", "--attach-name", "blob.bin", "--attach", "@@BLOB@"], 0,
     lambda m, t: part_of(m[0], "blob.bin") == bytes(range(256)) * 40),
    ("two attachments and a body", ["--body", "see there", "--attach", "@@BLOB@", "--attach", "@@TEXT@"], 0,
     lambda m, t: len(email.message_from_bytes(m[0].content).get_payload()) == 3),
    ("large attachment goes by file", ["--attach-name", "big.bin", "--attach", "@@BIG@"], 0, lambda m, t: len(part_of(m[0], "big.bin")) == 400000),
    ("too large", ["--attach", "@@HUGE@"], 26, lambda m, t: not m and "552 5.3.4" in t),
    ("long line", ["--body", "x" * 5000 + "\n"], 0, lambda m, t: b"\r\n" + b"x" * 5000 + b"\r\n" in m[0].content),
    ("long header line", ["--header", "X-Long: " + "y" * 3000], 0, lambda m, t: b"y" * 3000 in m[0].content),
    ("unqualified sender", ["--from", "nobody"], 23, lambda m, t: not m),
    ("quit before the data", ["--quit-after", "RCPT"], 0, lambda m, t: not m and "221" in t),
    ("dropped after RCPT", ["--drop-after", "RCPT"], 0, lambda m, t: not m),
    ("dropped in the middle of the data", ["--drop-after-send", "DATA"], 0, lambda m, t: not m),
    ("IPv6", ["--server", "::1"], 0, lambda m, t: "[IPv6:::1]" in m[0].header("Received")[0]),
    ("HELO name is kept", ["--ehlo", "some.name.example"], 0, lambda m, t: "some.name.example" in m[0].header("Received")[0]),
    ("message-id is left alone", ["--header", "Message-Id: <own@client.example>"], 0, lambda m, t: m[0].header("Message-Id") == ["<own@client.example>"]),
]


def part_of(message, name):
    for part in email.message_from_bytes(message.content).walk():
        if part.get_filename() == name:
            return part.get_payload(decode=True)
    return b""


def test_swaks(world):
    sink = Sink()
    world.mtad(listen="listen main { address 127.0.0.1:25 [::1]:25; trust 127.0.0.0/8 ::1/128 }", extra="limits { message-size 1M }",
               routes="route no { match rcpt-domain refused.example; reject 550 5.7.1 not wanted here }\nroute out { match any; relay smtp://127.0.0.2:25 }")
    files = {"BLOB": bytes(range(256)) * 40, "TEXT": b"some text\n", "BIG": b"B" * 400000, "HUGE": b"H" * 900000}
    for name, content in files.items():
        (world.folder / name).write_bytes(content)
    wrong = []
    for name, arguments, code, check in CASES:
        before = len(sink.messages)
        arguments = [f"@{world.folder / a.strip('@')}" if a.startswith("@@") else a for a in arguments]
        argv = ["swaks", "--server", "127.0.0.1", "--from", "from@from.example", "--to", "to@to.example", "--ehlo", "client.example", *arguments]
        done = subprocess.run(argv, capture_output=True, timeout=30)
        transcript = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
        try:
            if done.returncode != code:
                raise AssertionError(f"swaks ended with {done.returncode}, not {code}")
            got = sink.wait(before + 1, 10)[before:] if code == 0 and not name.startswith(("quit", "dropped")) else sink.messages[before:]
            if not check(got, transcript):
                raise AssertionError(f"not as it should be: {[(m.sender, m.recipients, m.content[:600]) for m in got]}")
        except Exception as error:
            wrong.append(f"{name}: {error}\n{transcript[-1500:]}")
    assert not wrong, f"{len(wrong)} of {len(CASES)} cases:\n" + "\n".join(wrong)
