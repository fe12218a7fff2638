"""Documents that say what the code says."""
import re
import shutil
import subprocess

from harness.core import BUILD, ROOT, Skip


def test_docs_generated_parts_are_fresh(world):
    done = subprocess.run([ROOT / "tools/docs-generate", "--check", BUILD], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_docs_manual_pages_are_clean(world):
    if not shutil.which("mandoc"):
        raise Skip("mandoc is not installed")
    pages = sorted((ROOT / "docs/man").glob("*.[1-9]"))
    assert len(pages) >= 2
    done = subprocess.run(["mandoc", "-Tlint", *pages], capture_output=True, text=True)
    # Whether pages of others are installed here says nothing about ours.
    bad = [line for line in done.stdout.splitlines() if "referenced manual not found" not in line]
    assert not bad, "\n".join(bad)


def test_docs_links_lead_somewhere(world):
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
            if "://" in target:
                continue
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} points at {target}"


def test_docs_every_document_opens_with_whom_it_is_for(world):
    for path in sorted((ROOT / "docs").glob("*.md")):
        text = path.read_text()
        assert text.startswith("# "), path.name
        assert re.search(r"^For (who|those|every|all|an|the )", text.split("\n\n")[1], re.M), f"{path.name}: the first paragraph says whom it is for"


def test_docs_manual_of_the_daemon_knows_each_option(world):
    help_text = subprocess.run([BUILD / "mta/master/mtad", "--help"], capture_output=True, text=True).stdout
    page = (ROOT / "docs/man/mtad.8").read_text()
    for option in set(re.findall(r"--([a-z-]+)", help_text)):
        assert f"Fl -{option}" in page, f"--{option} is not in mtad(8)"
