"""Death, again and again, of one process of a role."""
import os
import signal
import threading
import time


def pids_of(role):
    """By name in the kernel, since who would tell may be the victim."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/comm") as f:
                    if f.read().strip() == f"mta-{role}":
                        found.append(int(entry))
            except OSError:
                pass
    return found


class Killer:
    """SIGKILL to one process of a role, `every` so many seconds, `most` times: a role that dies as soon as it lives is started ever later."""

    def __init__(self, role, every, most=6):
        self.role, self.every, self.most, self.kills, self.running = role, every, most, 0, True
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while self.running and self.kills < self.most:
            time.sleep(self.every)
            pids = pids_of(self.role)
            if pids and self.running:
                try:
                    os.kill(pids[self.kills % len(pids)], signal.SIGKILL)
                    self.kills += 1
                except ProcessLookupError:
                    pass

    def stop(self):
        self.running = False
        self.thread.join()
