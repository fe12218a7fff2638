"""The stage for scenarios: one mtad with everything hostile around it at once, and one good destination whose mail must go on."""
import concurrent.futures
import email
import re
import time

from . import evil, evil_dns, mail, smtp

QUICK = ("timeouts { connect 2s; banner 4s; ehlo 4s; mail 4s; rcpt 4s; data 4s; data-block 4s; data-end 5s; rset 1s; quit 1s; idle 1s\n"
         "server-command 5s; server-data 5s }")
FORWARDS = "resolver { stub 127.0.0.53:53; timeout 4s }"
ALLOW = "connect { allow 127.10.0.0/16 127.0.0.2/32 }"
SMALL = ("limits { message-size 100K; recipients 5; errors 5; junk-commands 10; hops 10; line-octets 2000; data-rate 0/s\n"
         "connections-per-client 8; connections-per-prefix 12 }")
NO_RATE = "limits { data-rate 0/s }"

# Configurations that scenarios ask for by `with NAME`. Everything else is the default.
SETUPS = {
    "plain": dict(queue="retry 30m; expire 1d", extra=f"{QUICK}\n{FORWARDS}\n{ALLOW}\n{NO_RATE}"),
    "retry": dict(queue="retry 1s 1s; expire 1d", extra=f"{QUICK}\n{FORWARDS}\n{ALLOW}\n{NO_RATE}"),
    "expire": dict(queue="retry 1s 1s; expire 6s", extra=f"{QUICK}\n{FORWARDS}\n{ALLOW}\n{NO_RATE}"),
    "small": dict(queue="retry 30m; expire 1d", extra=f"{QUICK}\n{FORWARDS}\n{ALLOW}\n{SMALL}"),
    "guarded": dict(queue="retry 30m; expire 1d", extra=f"{QUICK}\n{FORWARDS}\nconnect {{ allow 127.0.0.2/32 }}\n{NO_RATE}"),
    "full": dict(queue="retry 30m; expire 1d; max-size 4M; segment-size 1M", extra=f"{QUICK}\n{FORWARDS}\n{ALLOW}\n{NO_RATE}"),
}
LISTEN = ("listen main { address 127.0.0.1:25; trust 127.0.0.1/32 }\nlisten mending { address 127.0.0.1:26; bare-newline normalise }\n"
          "listen strict { address 127.0.0.1:27; strict on }")
ROUTES = ("route home { match rcpt-domain from.example; relay smtp://127.0.0.7:25 }\nroute in { match rcpt-domain to.example; relay smtp://127.0.0.3:25 }\n"
          "route good { match rcpt-domain good.example; relay smtp://127.0.0.2:25 }\n"
          "route hold { match rcpt-domain hold.example; relay smtp://127.0.0.99:25 }\nroute out { match any; mx }")
GROWTH_MAX = 64 << 20   # octets that any process may grow by, whatever it is sent
LOG_LINE_MAX = 4096


class Stage:
    def __init__(self, world, setup, scenarios, by_octet):
        self.world, self.setup, self.scenarios, self.by_octet = world, setup, scenarios, by_octet
        self.wrong, self.hosts, self.names = {}, {}, {}
        self.good, self.home, self.inbox = smtp.Sink(("127.0.0.2", 25)), smtp.Sink(("127.0.0.7", 25)), smtp.Sink(("127.0.0.3", 25))
        self.good_sent = 0
        self.prepare()
        self.mta = world.mtad(f"{setup}-{'octets' if by_octet else 'whole'}", routes=ROUTES, listen=LISTEN, **SETUPS[setup])
        self.before = self.processes()

    # ---- what surrounds it

    def prepare(self):
        zones, tricks, reverse = {"good.evil.test": [("@", "A", "127.0.0.2")]}, {}, {}
        number = 0
        for s in self.scenarios:
            domain = f"{s.id}.evil.test"
            names = self.names[s.id] = {"rcpt": f"{s.id}@to.example", "sender": f"{s.id}@from.example", "domain": domain, "id": s.id}
            number += 1
            names["client"] = f"127.20.{number // 200}.{number % 200 + 1}"
            if s.options.get("neighbours"):  # a /24 of its own
                names["client"] = f"127.21.{number}.1"
            if s.kind == "remote":
                zones[domain] = self.zone(s, names)
                for record in s.dns:
                    if record.startswith("TRICK "):
                        tricks[domain] = record[6:]
            for line in s.dns:
                if line.startswith("ptr "):
                    reverse[names["client"]] = [evil.scenario.octets(x, names) for x in line[4:].split("|")]
        self.dns = evil_dns.NameServer(zones, tricks, reverse)

    def zone(self, s, names):
        records = []
        for host in s.hosts:
            n = len(self.hosts)
            address = f"127.10.{n // 200}.{n % 200 + 1}"
            self.hosts[s.id, host.name] = evil.EvilHost(host, address, names, self.by_octet)
            names[host.name.replace("-", "")] = address
            records.append((host.name, "A", address))
        mx = [r for r in s.dns if not r.startswith(("TRICK ", "ptr "))]
        if not mx:
            records.append(("@", "MX", "10 main"))
        for line in mx:
            many = re.match(r"many (\d+) (.*)", line)
            for n in range(int(many.group(1)) if many else 1):
                owner, kind, text = (many.group(2) if many else line).replace("%n", str(n + 1)).split(" ", 2)
                records.append((owner, kind, evil.scenario.octets(text, names).decode()))
        return records

    # ---- what goes in

    def steadily(self, action):
        """On a busy machine our own good clients may be too slow for the short timeouts; what was not acknowledged is sent again."""
        for _ in range(4):
            client = smtp.Client()
            try:
                code, text = action(client)
                if code:
                    return code, text
            except OSError:
                pass
            finally:
                client.close()
        raise AssertionError("mtad closes on good clients, again and again")

    def submit(self, s):
        names, o = self.names[s.id], s.options
        rcpts = [f"r{n + 1}@{names['domain']}" for n in range(int(o.get("rcpts", 1)))]
        if "rcpt" in o:
            rcpts = [evil.scenario.octets(o["rcpt"], names).decode()]
        for n in range(int(o.get("messages", 1))):
            content = mail.message(f"{s.id}.{n}", int(o.get("size", 0)), subject=o.get("subject", "hostile"))
            if "body" in o:
                content = content.encode() + evil.scenario.octets(o["body"], names)
            sender = "" if "null-sender" in o else names["sender"]
            options = " " + o["mail"] if "mail" in o else ""
            code, text = self.steadily(lambda client: client.send(sender, rcpts, content, mail_options=options))
            if code != 250:
                self.fail(s, f"could not be submitted: {text}")

    def send_good(self, count=1):
        for _ in range(count):
            self.good_sent += 1
            content = mail.message(f"good-{self.good_sent}")
            code, text = self.steadily(lambda client: client.send("good@from.example", "user@good.example", content))
            assert code == 250, f"good mail is refused: {text}"

    def play_client(self, s):
        port = int(s.options.get("port", 25))
        player = evil.Client(self.names[s.id], self.by_octet, self.names[s.id]["client"], ("127.0.0.1", port))
        try:
            player.run(s.steps)
        except (AssertionError, OSError) as error:
            self.fail(s, str(error))

    def fail(self, s, text):
        self.wrong.setdefault(s.id, []).append(text)

    def run(self, seconds=30):
        self.send_good(3)
        clients = [s for s in self.scenarios if s.kind == "client"]
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            played = [pool.submit(self.play_client, s) for s in clients]
            for n, s in enumerate(s for s in self.scenarios if s.kind == "remote"):
                self.submit(s)
                if n % 10 == 0:
                    self.send_good()
            for p in played:
                p.result()
        if self.setup != "full":
            self.send_good(3)
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            self.look()
            if not any(self.unmet(s) for s in self.scenarios):
                break
            time.sleep(0.2)
        time.sleep(0.3)
        self.look()
        for s in self.scenarios:
            for text in self.unmet(s):
                self.fail(s, text)
        for (name, _), host in self.hosts.items():
            for text in host.wrong:
                self.wrong.setdefault(name, []).append(f"its script: {text}")
        self.look_at_mtad()

    # ---- what came out

    def look(self):
        self.queued = {}
        for row in self.mta.list():
            for r in row["recipients"]:
                self.queued.setdefault(row["sender"].split("@")[0], []).append((r["address"], r.get("delay_reason", "")))
        self.log = self.mta.log()
        self.bounces = {}
        for m in list(self.home.messages):
            for rcpt in m.recipients:
                self.bounces.setdefault(rcpt.split("@")[0], []).append(m.content)
        self.arrived = {}
        for m in list(self.inbox.messages):
            for rcpt in m.recipients:
                self.arrived.setdefault(rcpt.split("@")[0], []).append(m)

    def unmet(self, s):
        found = []
        for e in s.expects:
            if e.mode not in (None, "octets" if self.by_octet else "whole"):
                continue
            text = evil.scenario.octets(e.text, self.names[s.id]).decode(errors="surrogateescape")
            got = getattr(self, "expect_" + e.verb.replace("-", "_"))(s, text)
            if got is not None:
                found.append(f"line {e.line}: expect {e.verb} {text}: {got}")
        return found

    def hosts_of(self, s):
        return {host.name: self.hosts[s.id, host.name] for host in s.hosts}

    def contents(self, s):
        if s.kind == "remote":
            return [content for host in self.hosts_of(s).values() for _, _, content in host.delivered]
        return [m.content for m in self.arrived.get(s.id, [])]

    def expect_deferred(self, s, text):
        """[N] TEXT: still queued, all of its recipients (or N of them) with this reason."""
        count, _, rest = text.partition(" ")
        waiting = self.queued.get(s.id, [])
        wanted = int(s.options.get("rcpts", 1)) * int(s.options.get("messages", 1))
        if count.isdigit():
            wanted, text = int(count), rest
        good = [r for _, r in waiting if r and text.lower() in r.lower()]
        return None if len(good) == wanted == len(waiting) else f"{wanted} wanted, waiting: {waiting}"

    def expect_delivered(self, s, text):
        wanted, have = int(text or 1), len(self.contents(s))
        waits = s.kind == "remote" and wanted > 0 and self.queued.get(s.id)
        return None if have == wanted and not waits else f"{have} delivered, queued {self.queued.get(s.id)}"

    def expect_taken(self, s, text):
        """N: as `delivered`, while others of its recipients may wait."""
        have = len(self.contents(s))
        return None if have == int(text) else f"{have} taken"

    def expect_nothing(self, s, text):
        return None if not self.contents(s) and not self.queued.get(s.id) else "something was queued"

    def expect_by(self, s, text):
        return None if self.hosts_of(s)[text].delivered else f"not taken by {text}"

    def expect_bounced(self, s, text):
        status, _, words = text.partition(" ")
        for content in self.bounces.get(s.id, []):
            report = email.message_from_bytes(content).get_payload()[1].as_string().replace("\n ", " ")
            if f"Status: {status}" in report and words in report:
                return None if len(self.bounces[s.id]) == 1 else "returned more than once"
        return f"bounces {[c[-700:] for c in self.bounces.get(s.id, [])]}, queued {self.queued.get(s.id)}"

    def expect_kept_silent(self, s, text):
        """No bounce to anybody."""
        return None if not self.bounces.get(s.id) else "a bounce was sent"

    def expect_log(self, s, text):
        return None if text in self.log else "not in the log"

    def expect_log_at_most(self, s, text):
        count, _, text = text.partition(" ")
        have = self.log.count(text)
        return None if 0 < have <= int(count) else f"{have} times in the log"

    def expect_unlogged(self, s, text):
        return None if text not in self.log else "it is in the log"

    def expect_sessions(self, s, text):
        """[HOST] N: so many connections were made to it."""
        *host, count = text.split()
        have = self.hosts_of(s)[host[0] if host else "main"].sessions
        return None if have == int(count) else f"{have} sessions"

    def expect_sessions_at_most(self, s, text):
        have = self.hosts_of(s)["main"].sessions
        return None if 0 < have <= int(text) else f"{have} sessions"

    def expect_heard(self, s, text):
        return None if any(text in line for h in self.hosts_of(s).values() for line in h.heard) else "not heard"

    def expect_unheard(self, s, text):
        return None if not any(text in line for h in self.hosts_of(s).values() for line in h.heard) else "heard"

    def expect_content(self, s, text):
        return None if any(text.encode(errors="surrogateescape") in c for c in self.contents(s)) else f"not in {[c[-300:] for c in self.contents(s)]}"

    def expect_no_content(self, s, text):
        return None if self.contents(s) and not any(text.encode(errors="surrogateescape") in c for c in self.contents(s)) else "it is there, or nothing is"

    def expect_rcpts(self, s, text):
        """N: the message that arrived has so many recipients."""
        have = [len(m.recipients) for m in self.arrived.get(s.id, [])]
        return None if have == [int(text)] else f"{have} recipients"

    def expect_received(self, s, text):
        """Its Received field has this."""
        fields = [m.header("Received")[0] for m in self.arrived.get(s.id, [])]
        return None if fields and all(text in f for f in fields) else f"Received: {fields}"

    # ---- that it is well

    def processes(self):
        found = {}
        for r in self.mta.roles():
            with open(f"/proc/{r['pid']}/status") as f:
                memory = int(re.search(r"VmHWM:\s+(\d+) kB", f.read()).group(1)) * 1024
            found[r["role"], r.get("index", 0)] = (r["pid"], r["restarts"], memory)
        return found

    def look_at_mtad(self):
        try:
            self.good.wait(self.good_sent, 20)
            after = self.processes()
            for role, (pid, restarts, memory) in self.before.items():
                assert after[role][:2] == (pid, restarts), f"{role} died: {self.before[role]} -> {after[role]}"
                assert after[role][2] - memory < GROWTH_MAX, f"{role} grew from {memory} to {after[role][2]} octets"
            assert self.mta.status()["audit"]["balanced"] is True, "the auditor's sums do not agree"
            assert self.mta.ctl("queue", "check")[-1]["problems"] == 0, "queue check finds problems"
            log = self.mta.log_path.read_bytes()
            foreign = re.search(rb".*[^\n\x20-\x7e].*", log)
            assert not foreign, f"foreign octets in the log: {foreign.group(0)[:300]}"
            longest = max(len(line) for line in log.split(b"\n"))
            assert longest <= LOG_LINE_MAX, f"a log line of {longest} octets"
        except AssertionError as error:
            self.wrong["mtad"] = [str(error)]

    def stop(self):
        if self.mta.process.poll() is None:
            self.mta.stop()
        for sink in (self.good, self.home, self.inbox):
            sink.running = False
            evil.close_listener(sink.listener)
        for thing in [*self.hosts.values(), self.dns]:
            thing.stop()

    def report(self):
        mode = "by the octet" if self.by_octet else "whole"
        return [f"{name} ({mode}): {text}" for name, texts in sorted(self.wrong.items()) for text in texts]
