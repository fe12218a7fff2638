"""Deaths by octets, at random: of 64 servers one kills the delivery worker, of 64 clients one kills the receiver, in every phase and every form.
The culprit must be named each time, the others delivered exactly once unless the log says maybe_duplicate, and nothing that was promised lost.
Needs the build with planted faults (BULKHEAD_FAULT_BUILD)."""
import collections
import os
import pathlib
import random

from harness import killers, smtp
from harness.core import ROOT, wait_for

FAULT = pathlib.Path(os.environ.get("BULKHEAD_FAULT_BUILD", ROOT / "build-fault"))
SESSIONS = 64
FORMS = ["abort", "wild", "memory", "call"]
SELDOM = {"loop": 0.04, "scribble": 0.04}   # the watchdog takes its time, and so does serving everybody alone
SITE_RUNS = 50                              # runs of one mtad: each server kills once at most


def form_of_death():
    dice = random.random()
    for form, share in SELDOM.items():
        dice -= share
        if dice < 0:
            return form
    return random.choice(FORMS)


def runs(world, count):
    """So many runs, each a death of a delivery worker and one of a receiver; the figures, or an AssertionError."""
    harbour, sink, figures = killers.Harbour(SESSIONS), smtp.Sink(), collections.Counter()
    site = 0
    while figures["runs"] < count:
        site += 1
        mta = world.mtad(name=f"mta{site}", build=FAULT, queue="retry 1s; expire 1d", extra="workers { delivery 1; smtp 2 }",
                         routes=killers.routes(SESSIONS, "messages-per-connection 1") + "\nroute out { match any; relay smtp://127.0.0.2:25 }")
        order = random.sample(range(1, SESSIONS + 1), min(SITE_RUNS, count - figures["runs"]))
        for n, killer in enumerate(order):
            one_run(mta, harbour, sink, n, killer, figures)
        status = mta.status()
        assert status["audit"]["balanced"] is True, status["audit"]
        code, text = mta.ctl("queue", "check", json_output=False)
        assert code == 0, f"queue check: {code} {text}"
        mta.stop()
    return dict(figures)


def one_run(mta, harbour, sink, n, killer, figures):
    step, form, phase, client_form = random.choice(killers.STEPS), form_of_death(), random.choice(killers.PHASES), form_of_death()
    source = f"127.0.9.{1 + n}"
    print(f"run {n}: {killers.address(killer)} {step} {form}, {source} {phase} {client_form}", flush=True)
    harbour.sink.messages.clear()
    sink.messages.clear()
    first = 10000 * (n + 1)
    _, more = killers.delivery_round(mta, harbour, first, killer, step, form)
    _, clients = killers.reception_round(mta, sink, first + 1000, source, phase, client_form, SESSIONS)
    wait_for("the client is let go", lambda: killers.behave(source) and mta.status()["crashes"]["clients_quarantined"] == 0, killers.WAIT_S)
    figures.update({"runs": 1, "named": 1, "named clients": 1, f"form {form}": 1, f"form {client_form}": 1, f"step {step}": 1, f"phase {phase}": 1,
                    "maybe_duplicate, delivered again": more, "clients dropped": clients["dropped"], "clients untouched": clients["untouched"]})
