"""A run against the last recorded one: ratios to the null run and to Postfix, which say the same on a fast and on a slow machine, not rates."""
import json

RATIOS = {"to_null": "null", "to_postfix": "postfix"}
SAME_LOAD = ("sessions", "size", "new_connections", "postfix_concurrency")
SAME_MACHINE = ("cpu", "cpus", "kernel", "file_system")


def last(folder, options):
    """(name, report) of the youngest record of this load in the folder, or None. Names begin with the date."""
    for path in sorted(folder.glob("*.json"), reverse=True):
        report = json.loads(path.read_text())
        if "medians" in report and all(report["options"].get(k) == options[k] for k in SAME_LOAD):
            return path.name, report
    return None


def changes(before, now):
    """[(system, ratio's name, was, is)], for what both runs have; a system's ratio to itself says nothing."""
    return [(system, key, before[system][key], medians[key]) for system, medians in now.items() for key, other in RATIOS.items()
            if system not in ("null", "postfix", other) and key in medians and key in before.get(system, {})]


def fallen(found, tolerance):
    """Those of changes() that fell by more than this share of what they were."""
    return [c for c in found if c[3] < c[2] * (1 - tolerance)]


def lines(name, before, report, tolerance):
    """What is said of it."""
    found = changes(before["medians"], report["medians"])
    down = fallen(found, tolerance)
    said = [f"against the record {name}:"]
    for change in found:
        system, key, was, is_now = change
        verdict = f"  FELL by more than the tolerance of {tolerance:.0%}" if change in down else ""
        said.append(f"  {system} to {RATIOS[key]}: was {was:.2f}x, is {is_now:.2f}x ({is_now / was - 1:+.0%}){verdict}")
    if not found:
        said.append("  no ratio that both have")
    other = [k for k in SAME_MACHINE if before["machine"].get(k) != report["machine"].get(k)]
    if other:
        said.append(f"  the record is of another machine ({', '.join(other)}): ratios carry over only roughly")
    shares = [row["others_share"] for row in report["rows"]]
    if shares and max(shares) > 0.25:
        said.append(f"  other work took up to {max(shares):.2f} CPUs in this run: measure again on a quiet machine before you believe it")
    return said, down
