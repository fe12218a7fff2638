"""curl as a client."""
import email
import subprocess

from harness.smtp import Sink


def curl(*arguments, code=0):
    done = subprocess.run(["curl", "-sS", "-v", "--max-time", "20", *arguments], capture_output=True, text=True)
    assert done.returncode == code, f"curl ended with {done.returncode}, not {code}: {done.stderr}"
    return done.stdout + done.stderr


def test_curl(world):
    sink = Sink()
    world.mtad(extra="limits { message-size 1M }",
               routes="route no { match rcpt-domain refused.example; reject 550 5.7.1 no }\nroute out { match any; relay smtp://127.0.0.2:25 }")
    letter = world.folder / "letter.eml"
    letter.write_bytes(b"From: a@from.example\r\nTo: b@to.example\r\nSubject: by curl\r\n\r\nhello\r\n.\r\n..dots\r\nGr\xc3\xbc\xc3\x9fe\r\n")
    url = "smtp://127.0.0.1:25/client.example"

    # an upload, whose size curl announces; two recipients in one transaction
    text = curl(url, "--mail-from", "a@from.example", "--mail-rcpt", "b@to.example", "--mail-rcpt", "c@to.example", "--upload-file", str(letter))
    assert " SIZE=" in text, text
    one = sink.wait(1)[0]
    assert one.recipients == ["b@to.example", "c@to.example"] and one.content.endswith(letter.read_bytes()), one.content

    # a MIME message that curl makes
    curl(url, "--mail-from", "a@from.example", "--mail-rcpt", "b@to.example", "-F", "=words", "-F", f"file=@{letter};encoder=base64", "-H", "Subject: parts")
    parts = email.message_from_bytes(sink.wait(2)[1].content)
    assert parts.is_multipart() and parts.get_payload()[1].get_payload(decode=True) == letter.read_bytes()

    # a recipient that is refused, and the same when the others are enough
    curl(url, "--mail-from", "a@from.example", "--mail-rcpt", "x@refused.example", "--upload-file", str(letter), code=55)
    curl(url, "--mail-from", "a@from.example", "--mail-rcpt-allowfails", "--mail-rcpt", "x@refused.example", "--mail-rcpt", "b@to.example", "--upload-file", str(letter))
    assert sink.wait(3)[2].recipients == ["b@to.example"]

    # an announced size over the limit is refused before any content is sent
    big = world.folder / "big"
    big.write_bytes(b"Subject: big\r\n\r\n" + b"x" * 70 * 30000)
    text = curl(url, "--mail-from", "a@from.example", "--mail-rcpt", "b@to.example", "--upload-file", str(big), code=55)
    assert "552 5.3.4" in text, text

    # commands by name
    assert "252 " in curl("smtp://127.0.0.1:25", "--mail-rcpt", "someone@to.example")
    assert "214" in curl("smtp://127.0.0.1:25", "-X", "HELP")
    assert len(sink.messages) == 3
