"""Run one test function in the namespaces that tests/run made: python3 one.py MODULE FUNCTION. Exit 0 passed, 77 skipped, 1 failed."""
import importlib
import pathlib
import shutil
import subprocess
import sys
import tempfile
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import core  # noqa: E402


def main():
    module, function = sys.argv[1:3]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    place = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-test-"))
    place.chmod(0o755)
    world = core.World(place)
    try:
        getattr(importlib.import_module(module), function)(world)
        code = 0
    except core.Skip as why:
        print(f"skipped: {why}")
        code = 77
    except BaseException:
        traceback.print_exc()
        world.describe()
        code = 1
    finally:
        world.stop()
        shutil.rmtree(place, ignore_errors=True)
    sys.exit(code)


main()
