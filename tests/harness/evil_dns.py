"""A name server that lies: it answers from the `dns` lines of scenarios, and some names with packets that no name server should send."""
import ipaddress
import socket
import struct
import threading
import time

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA = 1, 2, 5, 6, 12, 15, 16, 28
TYPES = {"A": A, "CNAME": CNAME, "MX": MX, "TXT": TXT, "AAAA": AAAA, "PTR": PTR, "NS": NS}
POINTER = b"\xc0\x0c"  # the name that was asked


def wire(labels):
    return b"".join(bytes([len(x)]) + x for x in labels) + b"\0"


def name(text):
    return wire([x.encode() for x in text.rstrip(".").split(".") if x])


def record(owner, kind, data, ttl=5, length=None):
    return owner + struct.pack(">HHIH", kind, 1, ttl, len(data) if length is None else length) + data


def mx(preference, host):
    return struct.pack(">H", preference) + name(host)


class Query:
    def __init__(self, packet):
        self.id = struct.unpack(">H", packet[:2])[0]
        labels, at = [], 12
        while packet[at]:
            labels.append(packet[at + 1:at + 1 + packet[at]])
            at += 1 + packet[at]
        self.labels = labels
        self.name = b".".join(labels).decode(errors="replace").lower()
        self.kind = struct.unpack(">H", packet[at + 1:at + 3])[0]
        self.question = packet[12:at + 5]

    def reply(self, answers=(), flags=0x8580, code=0, question=None, number=None, count=None, authority=()):
        head = struct.pack(">HHHHHH", self.id if number is None else number, flags | code, 1, len(answers) if count is None else count, len(authority), 0)
        return head + (self.question if question is None else question) + b"".join(answers) + b"".join(authority)


def good(q, host="good.evil.test"):
    return record(POINTER, MX, mx(10, host))


# What a trick answers to an MX question; q is the query. Each is a lie that a parser may believe.
TRICKS = {
    "pointer-to-itself": lambda q: q.reply([record(POINTER, MX, b"\0\x0a\xc0" + bytes([len(q.question) + 12 + 12 + 2]))]),
    "pointers-in-a-circle": lambda q: q.reply([bytes([0xc0, 12 + len(q.question) + 2, 0xc0, 12 + len(q.question)]) + b"\0\x0f\0\1\0\0\0\5\0\0"]),
    "pointer-forward": lambda q: q.reply([record(POINTER, MX, b"\0\x0a\xff\xff")]),
    "rdlength-too-long": lambda q: q.reply([record(POINTER, MX, mx(10, "good.evil.test"), length=4000)]),
    "rdlength-too-short": lambda q: q.reply([record(POINTER, MX, mx(10, "good.evil.test"), length=3)]),
    "rdlength-zero": lambda q: q.reply([record(POINTER, MX, b"")]),
    "label-past-the-end": lambda q: q.reply([record(POINTER, MX, b"\0\x0a\x3fshort")]),
    "label-of-64": lambda q: q.reply([record(POINTER, MX, b"\0\x0a\x40" + b"x" * 64 + b"\0")]),
    "name-of-300": lambda q: q.reply([record(POINTER, MX, b"\0\x0a" + (b"\x3f" + b"x" * 63) * 5 + b"\0")]),
    "more-answers-than-there-are": lambda q: q.reply([good(q)], count=60000),
    "cut-short": lambda q: q.reply([good(q)])[:-7],
    "header-alone": lambda q: struct.pack(">HHHHHH", q.id, 0x8580, 1, 1, 0, 0),
    "one-octet": lambda q: b"\0",
    "wrong-id": lambda q: q.reply([good(q)], number=q.id ^ 0x5555),
    "wrong-name": lambda q: q.reply([record(name("other.evil.test"), MX, mx(10, "good.evil.test"))], question=name("other.evil.test") + q.question[-4:]),
    "answer-about-another-name": lambda q: q.reply([record(name("other.evil.test"), MX, mx(10, "good.evil.test"))]),
    "a-question-back": lambda q: q.reply([good(q)], flags=0x0100),
    "no-question": lambda q: struct.pack(">HHHHHH", q.id, 0x8580, 0, 1, 0, 0) + record(wire(q.labels), MX, mx(10, "good.evil.test")),
    "refused": lambda q: q.reply(code=5),
    "not-implemented": lambda q: q.reply(code=4),
    "servfail": lambda q: q.reply(code=2),
    "code-15": lambda q: q.reply(code=15),
    "truncated-for-ever": lambda q: q.reply(flags=0x8780),
    "cname-to-itself": lambda q: q.reply([record(POINTER, CNAME, POINTER)]),
    "address-of-three": lambda q: q.reply([record(POINTER, MX, mx(10, "three." + q.name))] if q.kind == MX else [record(POINTER, A, b"\x7f\0\0")]),
    "address-of-five": lambda q: q.reply([record(POINTER, MX, mx(10, "five." + q.name))] if q.kind == MX else [record(POINTER, A, b"\x7f\0\0\2\2")]),
    "name-of-controls": lambda q: q.reply([record(POINTER, MX, b"\0\x0a" + wire([b"a\r\nRCPT TO:<x>\0", b"%s%n", b"evil", b"test"]))]),
    "name-of-blanks": lambda q: q.reply([record(POINTER, MX, b"\0\x0a" + wire([b" ", b"..", b"evil", b"test"]))]),
    "ttl-negative": lambda q: q.reply([record(POINTER, MX, mx(10, "good.evil.test"), ttl=0xFFFFFFFF)]),
    "case-games": lambda q: q.reply([record(name(q.name.swapcase()), MX, mx(10, "GOOD.eViL.tESt"))], question=name(q.name.upper()) + q.question[-4:]),
    "silence": lambda q: None,
    "noise": lambda q: bytes((q.id * 31 + n * 7) & 255 for n in range(700)),
}


class NameServer:
    """`zones`: name -> list of (type, text); text of an MX is "PREFERENCE HOST", hosts end in a dot or are below the zone's name. `tricks`: name -> trick,
    for the name and all below it. `reverse`: address -> labels of the name that PTR gives."""

    def __init__(self, zones, tricks, reverse=None, address="127.0.0.53", port=53):
        self.zones, self.tricks, self.reverse = zones, tricks, reverse or {}
        self.forward = {b".".join(labels).decode("latin-1").lower(): a for a, labels in self.reverse.items()}
        self.asked = []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, port))
        self.tcp = socket.socket()
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind((address, port))
        self.tcp.listen(64)
        self.running = True
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    def stop(self):
        self.running = False
        self.udp.sendto(b"end", self.udp.getsockname())  # wakes the thread, which holds the port
        time.sleep(0.05)
        self.udp.close()
        self.tcp.shutdown(socket.SHUT_RDWR)
        self.tcp.close()

    def serve_udp(self):
        while self.running:
            try:
                packet, peer = self.udp.recvfrom(4096)
                if not self.running:
                    return
                answer = self.answer(Query(packet))
                if answer is not None:
                    if len(answer) > 1232:
                        answer = Query(packet).reply(flags=0x8780)
                    self.udp.sendto(answer, peer)
            except OSError:
                if not self.running:
                    return

    def serve_tcp(self):
        while self.running:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.one_tcp, args=(connection,), daemon=True).start()

    def one_tcp(self, connection):
        connection.settimeout(5)
        try:
            while True:
                head = connection.recv(2, socket.MSG_WAITALL)
                if len(head) < 2:
                    break
                answer = self.answer(Query(connection.recv(struct.unpack(">H", head)[0], socket.MSG_WAITALL)))
                if answer is not None:
                    connection.sendall(struct.pack(">H", len(answer)) + answer)
        except OSError:
            pass
        finally:
            connection.close()

    def data(self, zone, kind, text):
        def full(host):
            return host if host.endswith(".") else f"{host}.{zone}"
        if kind in (A, AAAA):
            return ipaddress.ip_address(text).packed
        if kind == MX:
            preference, host = text.split()
            return struct.pack(">H", int(preference)) + (b"\0" if host == "." else name(full(host)))
        if kind == TXT:
            return bytes([len(text)]) + text.encode()
        return name(full(text))

    def mx_below(self, zone, text):
        """MX data with the host's name compressed: a thousand of them fit an answer."""
        preference, host = text.split()
        if host.endswith("."):
            return self.data(zone, MX, text)
        return struct.pack(">H", int(preference)) + wire([host.encode()])[:-1] + POINTER

    def answer(self, q):
        self.asked.append(q.name)
        for trick_name, trick in self.tricks.items():
            if q.name == trick_name or q.name.endswith("." + trick_name):
                return TRICKS[trick](q)
        if q.name.endswith(".in-addr.arpa"):
            address = ".".join(reversed(q.name.removesuffix(".in-addr.arpa").split(".")))
            if address in self.reverse and q.kind == PTR:
                return q.reply([record(POINTER, PTR, wire(self.reverse[address]))])
        asked = b".".join(q.labels).decode("latin-1").lower()
        if asked in self.forward:
            return q.reply([record(POINTER, A, ipaddress.ip_address(self.forward[asked]).packed)] if q.kind == A else [])
        for zone, records in self.zones.items():
            if q.name == zone or q.name.endswith("." + zone):
                label = "@" if q.name == zone else q.name[:-len(zone) - 1]
                if not any(owner == label for owner, _, _ in records):
                    return q.reply(code=3)
                found = [record(POINTER, TYPES[kind], self.mx_below(zone, text) if kind == "MX" and label == "@" else self.data(zone, TYPES[kind], text))
                         for owner, kind, text in records if owner == label and TYPES[kind] in (q.kind, CNAME)]
                return q.reply(found)
        return q.reply(code=3)
