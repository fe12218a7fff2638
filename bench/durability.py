"""Does a 250 wait for the disk? Every sync of a running system is made to last DELAY_S longer, by strace, and the answer to the final dot is timed:
an answer that comes sooner was given for mail that was not on the disk yet. This sees the promise from outside, whatever a system does inside."""
import re
import signal
import subprocess
import time

import meters
from harness import core, smtp

DELAY_S = 0.4
SYNCS = "fsync,fdatasync,sync_file_range,msync,syncfs"
MESSAGES = 3
CONTENT = b"Subject: durability\r\n\r\n" + b"x" * 70 + b"\r\n"


def answer_s(address):
    """Seconds from the final dot to its 250, for a few messages one after the other."""
    times = []
    client = smtp.Client(address, timeout=60)
    for _ in range(MESSAGES):
        for line in ("MAIL FROM:<source@from.example>", "RCPT TO:<sink@to.example>", "DATA"):
            code, text = client.say(line)
            assert code in (250, 354), f"{line}: {text}"
        began = time.monotonic()
        code, text = client.data(CONTENT)
        times.append(time.monotonic() - began)
        assert code == 250, f"final dot: {text}"
    client.say("QUIT")
    client.close()
    return times


def check(system, folder):
    """{"plain_ms", "delayed_ms", "syncs", "durable"}: the fastest answer without and with the delay, the system calls that were delayed."""
    address, before = (system.address, system.listen_port), system.arrived()
    plain = answer_s(address)
    trace = folder / f"strace.{system.name}"
    targets = [word for pid in meters.tree(system.pid) for word in ("-p", str(pid))]
    words = folder / f"strace.{system.name}.said"
    inject = f"inject={SYNCS}:delay_exit={int(DELAY_S * 1e6)}"
    tracer = subprocess.Popen(["strace", "-f", "-y", "-o", str(trace), "-e", f"trace={SYNCS}", "-e", inject, *targets],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(words, "wb"))
    try:
        core.wait_for("strace is attached", lambda: words.read_text().count("attached") >= len(targets) // 2, 20)
        time.sleep(0.3)  # threads of the last process follow its first one
        delayed = answer_s(address)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(30)
    core.wait_for("the sink has the messages of the check", lambda: system.arrived() == before + 2 * MESSAGES, 60)
    calls = {}
    for name in re.findall(r"^\d+ +(\w+)\(", trace.read_text(errors="replace"), re.M):
        calls[name] = calls.get(name, 0) + 1
    return {"plain_ms": min(plain) * 1e3, "delayed_ms": min(delayed) * 1e3, "delay_ms": DELAY_S * 1e3, "syncs": calls,
            "durable": min(delayed) >= DELAY_S and min(plain) < DELAY_S}
