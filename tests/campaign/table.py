"""What the long campaigns were asked for and what was really run, as a table for docs/reliability.md: from results.json and results/fuzz.json."""
import json
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
RESULTS, FUZZ = HERE / "results.json", HERE / "results" / "fuzz.json"

# name: (what it is, what is counted, asked in the long form, how often to run it for a release at least)
ROWS = {
    "kills": ("kill -9 cycles", "kills", 10000, 1000),
    "cuts": ("power cuts", "cuts", 1000, 200),
    "images": ("crash images", "images", 1000000, 100000),
    "culprit": ("culprit named among 64 sessions", "runs", 1000, 0),
    "sweep": ("fault sweep, every place and error", "faults", "complete", 0),
    "faults": ("faults in random order", "faults", "-", 0),
    "flips": ("changed octets", "flips", "-", 0),
    "full": ("full disks", "times full", "-", 0),
    "soak": ("soak at half load", "minutes", 120, 0),
}
# Parsers for what mtad cannot do yet: fuzzed already, but nothing foreign reaches them.
LATER = {f"smtp_{name}" for name in ("alias authd base64 dnsbl greylist proxy rewrite sasl srs sts submission tlsa tlsrpt xclient").split()}
FUZZ_CPU_S, FUZZ_LEAST_CPU_S, REPLY_RUNS, REPLY_LEAST = 3600, 600, 10 ** 9, 10 ** 8


def number(value):
    return f"{value:,}" if isinstance(value, int) else str(value)


def newest(results):
    """The version that was run last."""
    return max(results, key=lambda code: max(row["last"] for row in results[code].values()), default=None)


def told(totals, counted):
    """The figures behind what is counted that say how it went."""
    parts = [f"{number(value)} {key}" for key, value in totals.items()
             if key in ("lost", "bad", "acknowledged", "arrived", "felt", "damage") or key.startswith(("duplicates", "max call sites", "max places", "max pairs", "named", "maybe_duplicate"))]
    return "; ".join(parts)


def campaigns():
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    code = newest(results)
    rows = results.get(code, {})
    text = f"Version `{code}` (a hash of mtad and mtactl as linked; `tests/campaign/run` says which one the sources make).\n\n" if code else ""
    text += "| campaign | asked | at least | run | result | batches that failed | from, to | machine |\n|---|---|---|---|---|---|---|---|\n"
    for name, (what, counted, asked, least) in ROWS.items():
        row = rows.get(name)
        if not row:
            text += f"| `{name}`: {what} | {number(asked)} | {number(least or '-')} | not run | | | | |\n"
            continue
        totals = row["totals"]
        text += (f"| `{name}`: {what} | {number(asked)} | {number(least or '-')} | {number(totals.get(counted, 0))} | {told(totals, counted)} | "
                 f"{len(row['failed']) or 'none'} | {row['first'][:16]}, {row['last'][:16]} | {row['machine']} |\n")
    return text


def fuzzing():
    """Of each target the program that was run last: older ones are other code."""
    found = json.loads(FUZZ.read_text()) if FUZZ.exists() else {}
    if not found:
        return ""
    text = ("\n`tests/campaign/fuzz`: asked are an hour of CPU time for each target, at least ten minutes, and a thousand million runs of the reply parser, "
            "at least a hundred million. Targets in italics are parsers that mtad does not use yet.\n\n| target | CPU minutes | runs | findings open |\n|---|---|---|---|\n")
    for name in sorted(found):
        row = max(found[name].values(), key=lambda r: r["last"])
        shown = f"*{name}*" if name in LATER else name
        text += f"| {shown} | {row['cpu_s'] / 60:.1f} | {number(row['executions'])} | {len(row['findings']) or 'none'} |\n"
    return text


def table():
    return "\n" + campaigns() + fuzzing() + "\n"
