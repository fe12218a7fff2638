"""How the sources look: tools/tidy, and that it finds what it is for."""
import shutil
import subprocess

from harness.core import ROOT

BAD = {
    "smtp/x.c": ['#include "mta/ipc/ipc.h"\n', "smtp may not include"],
    "queue/x.c": ["#include <liburing.h>\n", "may include <liburing.h>"],
    "mta/deliver/x.c": ['#include "mta/receiver/receiver.h"\n', "mta/deliver may not include"],
    "mta/control/x.c": ['#include "queue/queue.h"\n', "mta/control may not include"],
    "base/x.c": ["int f(char *a)\n{\n    return strcpy(a, a) != a;\n}\n", "base/x.c#strcpy: 1, over 0"],
    "base/y.c": ["int f(void)\n{\n" + "    f();\n" * 70 + "}\n", "base/y.c:f: 72, over 70"],
    "base/z.c": ["/* " + "x" * 160 + " */\n", "base/z.c#wide: 1, over 0"],
    "base/t.c": ["int\tx;\n", "a tab"],
    "base/l.c": ["int x;\n" * 501, "base/l.c: 501, over 500"],
    "base/c.c": ['/* strcpy(a, b) */ const char *c = "strcpy(a, b)";\n', None],
}


def tidy(folder):
    return subprocess.run([folder / "tools/tidy"], capture_output=True, text=True)


def test_tidy_sources_are(world):
    done = tidy(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_tidy_finds_what_it_is_for(world):
    for number, (name, (text, want)) in enumerate(BAD.items()):
        folder = world.folder / str(number)
        (folder / name).parent.mkdir(parents=True)
        (folder / "tools").mkdir()
        shutil.copy(ROOT / "tools/tidy", folder / "tools/tidy")
        (folder / name).write_text(text)
        done = tidy(folder)
        if want is None:
            assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        else:
            assert done.returncode == 1 and want in done.stdout, f"{name}: {want!r} is not in {done.stdout!r} {done.stderr}"
