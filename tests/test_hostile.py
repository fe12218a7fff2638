"""The hostile catalogue: every row of docs/hostile.md as a scenario file of tests/scenario, played whole and again with its octets one at a time.

BULKHEAD_SCENARIO=h07,c16-lf tests/run -k hostile plays those only whose name begins so.
"""
import os
import re

from harness import catalogue, scenario
from harness.core import ROOT, Skip, limit

REMOTE_ROWS, CLIENT_ROWS, CLASS_ROWS = 41, 42, 46
RELATIVES = ("q214407", "q197142", "kb884874", "q239816", "q301690", "kb326446", "kb912341", "q190556")


def play(world, by_octet, *choices):
    """choices: (kind, setup) pairs; each setup has a stage of its own, one after the other."""
    only = tuple(filter(None, os.environ.get("BULKHEAD_SCENARIO", "").split(",")))
    wrong, played = [], 0
    for kind, setup in choices:
        chosen = [s for s in scenario.read_all() if s.setup == setup and s.kind == kind]
        chosen = [s for s in chosen if not only or s.id.startswith(only)]
        if not chosen:
            continue
        stage = catalogue.Stage(world, setup, chosen, by_octet)
        stage.run()
        stage.stop()
        played += len(chosen)
        wrong += stage.report()
    if not played:
        raise Skip("BULKHEAD_SCENARIO chooses none of this group")
    print(f"{played} scenarios")
    assert not wrong, f"{len(wrong)} wrong of {played} scenarios:\n" + "\n".join(wrong)


@limit(120)
def test_remotes(world):
    play(world, False, ("remote", "plain"))


@limit(120)
def test_remotes_by_octet(world):
    play(world, True, ("remote", "plain"))


@limit(120)
def test_remotes_again_and_again(world):
    play(world, False, ("remote", "retry"), ("remote", "expire"), ("remote", "guarded"))
    play(world, True, ("remote", "retry"), ("remote", "expire"))


@limit(120)
def test_clients(world):
    play(world, False, ("client", "plain"), ("client", "small"))


@limit(120)
def test_clients_by_octet(world):
    play(world, True, ("client", "plain"), ("client", "small"))


@limit(120)
def test_full_queue(world):
    play(world, False, ("client", "full"))
    play(world, True, ("client", "full"))


def test_catalogue_is_whole(world):
    """Each row has a scenario, or stands in PENDING with its reason; docs/hostile.md tells of each, and names no scenario that is not there."""
    scenarios, pending = scenario.read_all(), scenario.pending()
    rows = {s.row for s in scenarios}
    wanted = [f"h{n:02}" for n in range(1, REMOTE_ROWS + 1)] + [f"c{n:02}" for n in range(1, CLIENT_ROWS + 1)] + list(RELATIVES)
    missing = [r for r in wanted if r not in rows and r not in pending]
    assert not missing, f"neither played nor pending: {missing}"
    assert all(pending.values()), "a pending row without its reason"
    played = {("remote", "plain"), ("remote", "retry"), ("remote", "expire"), ("remote", "guarded"),
              ("client", "plain"), ("client", "small"), ("client", "full")}
    assert {(s.kind, s.setup) for s in scenarios} == played, "a kind of scenario that no test plays, or none of one"
    text = (ROOT / "docs/hostile.md").read_text()
    told = set(re.findall(r"^\| ([hck]\d\d|k?[kbq]+\d+)\b", text, re.M))
    assert set(wanted) <= told, f"docs/hostile.md does not tell of {sorted(set(wanted) - told)}"
    stems = {s.stem for s in scenarios}
    named = set(re.findall(r"`((?:[hck]\d\d|k?[kbq]+\d+)[\w-]*)`", text))
    assert stems <= named, f"docs/hostile.md does not name {sorted(stems - named)}"
    assert named <= stems, f"docs/hostile.md names scenario files that are not there: {sorted(named - stems)}"
    classes = {int(n) for n in re.findall(r"^\| (\d+) \|", text, re.M)}
    assert classes == set(range(1, CLASS_ROWS + 1)), f"classes of flaws without a line: {sorted(set(range(1, CLASS_ROWS + 1)) - classes)}"
