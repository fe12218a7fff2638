"""Many destinations at once, and hosts that hold a connection as long as they can: mail to those that answer goes on."""
import time

from harness import dns, mtabench
from harness.core import limit, wait_for

ROUTE = "route out { match any; mx }"
ZONES = {"lot.test": "* MX 10 mx\nmx A 127.0.0.2", "tar.test": "* MX 10 mx\nmx A 127.0.0.3", "fast.test": "@ MX 10 mx\nmx A 127.0.0.4"}
PLACES, UNPROVEN = 16, 14  # connections-out, and what connection_place() gives to those that are not known to be prompt


@limit(120)
def test_more_destinations_at_once_than_can_be_looked_up_wait_without_a_deferral(world):
    dns.NameServer(world, ZONES, ttl=3600)
    sink = mtabench.Sink(world)
    mta = world.mtad(routes=ROUTE, extra=dns.parts())
    mtabench.send("127.0.0.1:25", "--messages", 3000, "--sessions", 20, "--to", "u@d{n}.lot.test")
    wait_for("all have arrived", lambda: sink.arrived() == 3000, 60)
    late = [line for line in mta.log().splitlines() if "status=deferred" in line]
    assert not [line for line in late if "try again" not in line] and len(late) < 30, late[:3]  # a question to the name server may get lost in such a burst


@limit(120)
def test_destinations_that_hold_their_connections_leave_places_to_others(world):
    dns.NameServer(world, ZONES, ttl=3600)
    mtabench.Sink(world, listen="127.0.0.3:25", options=["--personality", "*=tarpit=100s"])
    fast = mtabench.Sink(world, listen="127.0.0.4:25")
    mta = world.mtad(routes=ROUTE, extra=dns.parts(more=f"limits {{ connections-out {PLACES} }}"))
    mtabench.send("127.0.0.1:25", "--messages", 1, "--to", "u@fast.test")
    wait_for("the fast one is known", lambda: fast.arrived() == 1, 10)
    mtabench.send("127.0.0.1:25", "--messages", 40, "--to", "u@d{n}.tar.test")
    wait_for("the others have all that they may have", lambda: mta.status()["queue"]["connections"] >= UNPROVEN, 60)
    time.sleep(3)  # longer than the waiting ones take to ask again
    assert mta.status()["queue"]["connections"] == UNPROVEN
    began = time.monotonic()
    mtabench.send("127.0.0.1:25", "--messages", 20, "--to", "u@fast.test")
    wait_for("mail to the fast one goes on", lambda: fast.arrived() == 21, 10)
    assert time.monotonic() - began < 5
    assert mta.status()["queue"]["connections"] >= UNPROVEN
