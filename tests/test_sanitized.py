"""The daemon itself under AddressSanitizer and UBSan: mail, and every hostile peer. A finding ends a process, and that fails the test."""
import os
import pathlib

import test_hostile
import test_smtp_tools
from harness import core
from harness.core import ROOT, limit

BUILD = pathlib.Path(os.environ.get("BULKHEAD_ASAN_BUILD", ROOT / "build-asan"))
SIGNS = ("AddressSanitizer", "runtime error:", "LeakSanitizer")


def sanitized(world, test):
    """Run another test with the daemons of the sanitizer build, and look through what they said."""
    if not (BUILD / "mta/master/mtad").exists():
        raise core.Skip(f"no build with sanitizers in {BUILD}: tests/run without -k makes it")
    os.environ["UBSAN_OPTIONS"] = "halt_on_error=1:print_stacktrace=1"
    core.BUILD = BUILD
    test(world)
    assert world.daemons
    for daemon in world.daemons:
        found = [line for line in daemon.log().splitlines() if any(sign in line for sign in SIGNS)]
        assert not found, found


@limit(180)
def test_mail(world):
    sanitized(world, test_smtp_tools.test_every_id_arrives_once)


@limit(300)
def test_remotes(world):
    sanitized(world, test_hostile.test_remotes)


@limit(300)
def test_clients(world):
    sanitized(world, test_hostile.test_clients)
