"""Run one batch of a campaign in the namespaces that `run` made: batch.py MODULE FUNCTION COUNT. The last line is its figures as JSON."""
import importlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import core  # noqa: E402


def main():
    module, function, count = sys.argv[1:]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    place = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-campaign-"))
    place.chmod(0o755)
    world = core.World(place)
    code = 1
    try:
        figures = getattr(importlib.import_module(f"campaign.{module}"), function)(world, int(count))
        print(json.dumps(figures))
        code = 0
    except BaseException:
        traceback.print_exc()
        world.describe()
        print(f"what it left is in {place}")
    finally:
        world.stop()
        if code == 0:
            shutil.rmtree(place, ignore_errors=True)
    sys.exit(code)


main()
