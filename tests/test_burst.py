"""A burst of 10,000 hostile connections, and legitimate mail beside it: its rate before, while it comes in, while it is held, and after."""
import json
import pathlib
import random
import resource
import select
import socket
import subprocess
import sys
import threading
import time

if __name__ == "__main__":   # the parts run as processes of their own, so that they do not wait for one another
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import mail, smtp  # noqa: E402
from harness.core import Skip, limit, wait_for  # noqa: E402

BURST = 10000
STRANGERS = "listen main { address 127.0.0.1:25 }"
ROUTES = "route here { match rcpt-domain here.example; relay smtp://127.0.0.2:25 }"
SAYS = [b"", b"", b"EHLO x\r\n", b"EHL", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00" + bytes(200), b"\xff" * 500, b"NOOP\r\n" * 200,
        b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<nobody@else.example>\r\n" * 20, b"A" * 60000, b"EHLO x\nMAIL FROM:<>\n"]


def sources():
    """Where they come from: one address, one network, many networks."""
    for n in range(BURST):
        if n % 10 < 2:
            yield "127.66.0.1"
        elif n % 10 < 4:
            yield f"127.66.1.{n // 10 % 254 + 1}"
        else:
            yield f"127.{70 + n // 5000}.{n // 20 % 250 + 1}.{n % 254 + 1}"


def attack():
    """Open them all as fast as it goes, say something with each, hold those that are not closed; tell on standard output how it goes."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    random.seed(7)
    poll, held, opened, refused = select.epoll(), {}, 0, 0

    def drain(timeout):
        for fd, what in poll.poll(timeout):
            s, said = held[fd]
            if what & select.EPOLLOUT and not said:
                held[fd] = (s, True)
                poll.modify(fd, select.EPOLLIN)
                try:
                    s.send(random.choice(SAYS))
                except OSError:
                    pass
            elif what & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                try:
                    octets = s.recv(4096)
                except OSError:
                    octets = b""
                if not octets:
                    poll.unregister(fd)
                    held.pop(fd)[0].close()

    for source in sources():
        s = socket.socket()
        s.setblocking(False)
        s.setsockopt(socket.IPPROTO_IP, 24, 1)   # IP_BIND_ADDRESS_NO_PORT
        try:
            s.bind((source, 0))
            s.connect_ex(("127.0.0.1", 25))
        except OSError:
            refused += 1
            s.close()
            continue
        opened += 1
        held[s.fileno()] = (s, False)
        poll.register(s.fileno(), select.EPOLLOUT | select.EPOLLIN)
        if opened % 50 == 0:
            drain(0)
    print(json.dumps({"opened": opened, "failed": refused, "held": len(held)}), flush=True)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        drain(0.2)
        if select.select([sys.stdin], [], [], 0)[0]:
            break
    print(json.dumps({"held": len(held)}), flush=True)


def legitimate():
    """Sessions one after the other from four addresses at once, a message each; a line for every second: how many were taken, and what was refused."""
    taken, refused, lock = [0], [], threading.Lock()

    def sender(n):
        while True:
            try:
                c = smtp.Client(source=f"127.90.{n}.1", timeout=20)
                code, text = c.send("a@from.example", "b@here.example", mail.message(f"legit-{n}")) if c.banner[0] == 220 else c.banner
                c.say("QUIT")
                c.close()
            except OSError as error:
                code, text = 0, str(error)
            with lock:
                if code == 250:
                    taken[0] += 1
                else:
                    refused.append(text)

    for n in range(4):
        threading.Thread(target=sender, args=(n,), daemon=True).start()
    while True:
        time.sleep(1)
        with lock:
            print(json.dumps({"at": time.monotonic(), "taken": taken[0], "refused": refused}), flush=True)


class Part:
    def __init__(self, name):
        self.process = subprocess.Popen([sys.executable, "-B", __file__, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.rows = []
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.rows.append(json.loads(line))

    def stop(self):
        self.process.kill()
        self.process.wait()


def rate(rows, begin, end):
    inside = [r for r in rows if begin <= r["at"] <= end]
    return (inside[-1]["taken"] - inside[0]["taken"]) / (inside[-1]["at"] - inside[0]["at"]) if len(inside) > 1 else 0.0


@limit(140)
def test_burst_of_hostile_connections_leaves_mail_flowing(world):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 12000:
        raise Skip("no 12,000 descriptors")
    sink = smtp.Sink(keep_content=False)
    mta = world.mtad(listen=STRANGERS, routes=ROUTES, extra="timeouts { server-stress 5s }\nlimits { connection-rate-per-client off }")
    legit = world.add(Part("legitimate"))
    time.sleep(6)
    attacked = time.monotonic()
    attacker = world.add(Part("attack"))
    wait_for("all connections are made", lambda: attacker.rows, 90, 0.1)
    made = time.monotonic()
    time.sleep(10)
    held = time.monotonic()
    attacker.process.stdin.write("end\n")
    attacker.process.stdin.flush()
    wait_for("the attack ends", lambda: len(attacker.rows) > 1, 30, 0.1)
    time.sleep(1)
    ended = time.monotonic()
    time.sleep(6)
    rows = list(legit.rows)
    rates = {"before": rate(rows, 0, attacked), "while it comes in": rate(rows, attacked - 1, made + 1), "while it is held": rate(rows, made, held + 1),
             "after": rate(rows, ended, time.monotonic())}
    legit.stop()
    told = ", ".join(f"{name} {value:.0f}/s" for name, value in rates.items())
    print(f"{attacker.rows[0]['opened']} hostile connections in {made - attacked:.1f} s, {attacker.rows[0]['held']} of them held at its end and {attacker.rows[1]['held']} "
          f"ten seconds later; messages taken: {told}; refused: {len(rows[-1]['refused'])}")
    (pathlib.Path(world.folder) / "rates").write_text(told)
    assert attacker.rows[0]["opened"] == BURST, attacker.rows
    assert not rows[-1]["refused"], rows[-1]["refused"][:5]
    assert rates["while it comes in"] > rates["before"] / 10 and rates["while it is held"] > rates["before"] / 2, told
    assert rates["after"] > rates["before"] / 2, told
    assert all(r["restarts"] == 0 for r in mta.roles())
    wait_for("all of it is delivered", lambda: mta.count()["messages"] == 0, 60, 0.5)
    assert len(sink.messages) or sum(sink.ids.values())


@limit(100)
def test_idle_strangers_make_room_under_stress(world):
    """When three quarters of all places are taken by clients who say nothing, they are closed soon, and others come in; who is trusted stays."""
    mta = world.mtad(listen="listen main { address 127.0.0.1:25; trust 127.0.0.9 }", routes=ROUTES,
                     extra="limits { connections 400; connections-per-client 400; connections-per-prefix 400 }\ntimeouts { server-stress 3s }")
    trusted = smtp.Client(source="127.0.0.9")
    idle = [socket.create_connection(("127.0.0.1", 25), 20, source_address=(f"127.80.{n % 250}.1", 0)) for n in range(395)]
    mta.wait_log("warning: most connections are in use: ")
    began = time.monotonic()
    wait_for("they are sent away", lambda: mta.log().count("timeout after CONNECT") >= 390, 20, 0.2)
    assert time.monotonic() - began < 15
    assert trusted.say("NOOP")[0] == 250
    mta.wait_log("connections are free again")
    assert smtp.Client(source="127.81.0.1").banner[0] == 220
    for s in idle:
        s.close()


if __name__ == "__main__":
    {"attack": attack, "legitimate": legitimate}[sys.argv[1]]()
