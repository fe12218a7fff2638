"""Scenario files: hostile peers in a small language, one file a row of the catalogue. tests/scenario/README.md explains it; here it is read.

A file becomes a list of Scenario. Nothing is done here: evil.py plays them.
"""
import pathlib
import re

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "scenario"
KINDS = ("remote", "client")
ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "s": b" ", "\\": b"\\", "{": b"{", "}": b"}", "$": b"$"}


class BadScenario(Exception):
    pass


class Step:
    def __init__(self, verb, text, line, mode=None):
        self.verb, self.text, self.line, self.mode = verb, text, line, mode

    def __repr__(self):
        return f"line {self.line}: {self.verb} {self.text[:60]}"


class Host:
    """A remote server: what it does on its first connection, on its second, ...; the last script serves all later ones."""

    def __init__(self, name, manner="script"):
        self.name, self.manner, self.scripts = name, manner, [[]]


class Scenario:
    def __init__(self, stem, row, title, kind, name, line):
        self.stem, self.row, self.title, self.kind, self.name, self.line = stem, row, title, kind, name, line
        self.id = f"{stem}-{name}"
        self.setup, self.options, self.dns = "plain", {}, []
        self.hosts, self.expects = [Host("main")], []

    @property
    def steps(self):
        """Of a client."""
        return self.hosts[0].scripts[0]

    def __repr__(self):
        return f"{self.stem} {self.name}"


def octets(text, names=()):
    """Text of a step as octets: \\r \\n \\t \\0 \\s \\xHH, {N*TEXT} for repetition, $NAME for a name that the player knows."""
    out, at = b"", 0
    while at < len(text):
        c = text[at]
        if c == "\\" and text[at + 1:at + 2] == "x":
            out += bytes([int(text[at + 2:at + 4], 16)])
            at += 4
        elif c == "\\":
            out += ESCAPES[text[at + 1]]
            at += 2
        elif c == "{" and (found := re.match(r"\{(\d+)\*((?:\\.|[^}\\])+)\}", text[at:])):
            out += int(found.group(1)) * octets(found.group(2), names)
            at += found.end()
        elif c == "$" and (found := re.match(r"\$([a-z]+)", text[at:])) and found.group(1) in names:
            out += names[found.group(1)].encode()
            at += found.end()
        else:
            out += c.encode()
            at += 1
    return out


def read_file(path):
    scenarios, row, title, current, host = [], None, None, None, None
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        verb, _, text = line.partition(" ")
        mode = None
        if verb in ("whole", "octets"):
            mode = verb
            verb, _, text = text.partition(" ")
        if verb == "row":
            row, _, title = text.partition(" ")
        elif verb in KINDS and not raw[0].isspace():
            current = Scenario(path.stem, row, title, verb, text, number)
            host = current.hosts[0]
            scenarios.append(current)
        elif current is None or row is None:
            raise BadScenario(f"{path.name}:{number}: {verb!r} before `row` and a scenario")
        elif verb == "with":
            current.setup = text
        elif verb == "set":
            key, _, value = text.partition(" ")
            current.options[key] = value or True
        elif verb == "dns":
            current.dns.append(text)
        elif verb == "host":
            words = text.split()
            host = Host(words[0], words[1] if len(words) > 1 else "script")
            if words[0] == "main":
                current.hosts[0] = host
            else:
                current.hosts.append(host)
        elif verb == "again":
            host.scripts.append([])
        elif verb == "expect":
            what, _, argument = text.partition(" ")
            current.expects.append(Step(what, argument, number, mode))
        else:
            host.scripts[-1].append(Step(verb, text, number))
    for s in scenarios:
        if not s.expects:
            raise BadScenario(f"{path.name}: {s.name} expects nothing")
    return scenarios


def read_all(pattern="*.smtp"):
    found = [s for path in sorted(FOLDER.glob(pattern)) for s in read_file(path)]
    ids = [s.id for s in found]
    twice = {i for i in ids if ids.count(i) > 1}
    if twice:
        raise BadScenario(f"the same name twice: {twice}")
    return found


def pending():
    """Rows of the catalogue that wait for a feature: name -> reason."""
    rows = {}
    for line in (FOLDER / "PENDING").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, reason = line.partition(" ")
            rows[name] = reason.strip()
    return rows
