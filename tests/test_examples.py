"""Every configuration that we show to somebody is one that works."""
import re
import subprocess

from harness.core import BUILD, ROOT

MTAD = BUILD / "mta/master/mtad"


def check(path):
    return subprocess.run([MTAD, "--check", "-c", path], capture_output=True, text=True, timeout=30)


def test_examples_are_accepted(world):
    found = sorted((ROOT / "examples").glob("*.conf")) + [ROOT / "packaging/mta.conf"]
    assert len(found) >= 5, found
    for path in found:
        done = check(path)
        assert done.returncode == 0, f"{path.name}: {done.stdout}{done.stderr}"


def documents():
    """(where, text) of each whole configuration in a document: a code block that begins with config-version."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = path.read_text()
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.S | re.M)
        blocks += ["\n".join(line[4:] for line in block.splitlines()) for block in re.findall(r"((?:^    .*\n|^\n(?=    ))+)", text, re.M)]
        for number, block in enumerate(blocks):
            if "config-version" in block:
                yield f"{path.name}-{number}", block + "\n"
    for path in sorted((ROOT / "docs/man").glob("*")):
        for number, block in enumerate(re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", path.read_text(), re.S | re.M)):
            if "config-version" in block:
                yield f"{path.name}-{number}", block.replace("\\&", "")


def test_examples_inside_documents_are_accepted(world):
    count = 0
    for where, text in documents():
        path = world.folder / f"{where}.conf"
        path.write_text(text)
        done = check(path)
        assert done.returncode == 0, f"{where}: {done.stdout}{done.stderr}\n{text}"
        count += 1
    assert count >= 3, count
