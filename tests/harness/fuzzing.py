"""What the fuzzers' runners share: the one list, how a fuzzer is built and run, and what it said.

The list is what meson builds with -Dfuzz=true: each `fuzzers +=` row gives FOLDER_NAME_fuzz. Inputs that matter are in tests/corpus/TARGET, words of its
language in tests/corpus/TARGET.dict. The canaries (tests/canary_fuzz.c) have planted defects: they show that a defect would be seen.
"""
import hashlib
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
CORPUS = ROOT / "tests" / "corpus"
OPTIONS = ["-Dfuzz=true", "-Ddeveloper=true", "-Db_sanitize=address,undefined", "-Db_lundef=false"]
CANARIES = {"canary_address": "heap-buffer-overflow", "canary_undefined": "signed integer overflow", "canary_must": "broken: !always_fails"}
CANARY_S = 60            # the longest that a canary may live; it lives for a second or two
INPUT_S = 60             # the longest that one input may take, on a machine that is busy with other things too
MEMORY_MB = 2048
INTERRUPTED = 72         # how a fuzzer ends that was told to stop


def build(folder, source=ROOT):
    """Build all fuzzers; what the tools said when that failed, else None."""
    environment = dict(os.environ, CC="clang")
    if not (folder / "build.ninja").exists():
        done = subprocess.run(["meson", "setup", str(folder), *OPTIONS], cwd=source, env=environment, capture_output=True, text=True)
        if done.returncode:
            return done.stdout + done.stderr
    done = subprocess.run(["ninja", "-C", str(folder)], cwd=source, env=environment, capture_output=True, text=True)
    return done.stdout + done.stderr if done.returncode else None


def programs(folder):
    """The fuzzers of a build: name, program. Canaries are not among them."""
    found = {path.name[:-len("_fuzz")]: path for path in sorted(folder.glob("*_fuzz"))}
    return {name: path for name, path in found.items() if name not in CANARIES}


def fingerprint(program):
    """A hash of what runs: without what debuggers read, which changes with the place of the sources."""
    with tempfile.TemporaryDirectory() as place:
        bare = pathlib.Path(place) / "bare"
        subprocess.run(["objcopy", "--strip-all", "--remove-section=.note.gnu.build-id", str(program), str(bare)], check=True)
        return hashlib.sha256(bare.read_bytes()).hexdigest()[:12]


def prepare(name, folder, work):
    """What a target is given beside its corpus: messages between processes change with their table, so a program of the build writes them."""
    work.mkdir(parents=True, exist_ok=True)
    if name == "mta_ipc_ipc":
        subprocess.run([str(folder / "tools" / "ipcseeds"), str(work)], check=True)


def corpus_of(name):
    folder = CORPUS / name
    return sorted(folder.iterdir()) if folder.is_dir() else []


class Slice:
    """One run of a fuzzer: seconds by the clock, CPU seconds, executions, and whether it found something."""

    def __init__(self, name, program, work, options=(), seconds=10, niceness=0):
        self.name, self.program, self.work, self.options, self.seconds = name, program, work, list(options), seconds
        self.niceness = niceness
        self.cpu_s, self.executions, self.edges, self.code, self.text, self.process = 0.0, 0, 0, None, "", None

    def command(self, artifacts):
        words = CORPUS / f"{self.name}.dict"
        folders = [str(f) for f in (self.work, CORPUS / self.name) if f.is_dir()]
        nice = ["nice", "-n", str(self.niceness)] if self.niceness else []
        return [*nice, str(self.program), f"-max_total_time={self.seconds}", f"-timeout={INPUT_S}", f"-rss_limit_mb={MEMORY_MB}",
                "-print_final_stats=1", "-detect_leaks=1", f"-artifact_prefix={artifacts}/{self.name}-", *([f"-dict={words}"] if words.exists() else []), *self.options, *folders]

    def run(self, artifacts):
        self.work.mkdir(parents=True, exist_ok=True)
        artifacts.mkdir(parents=True, exist_ok=True)
        environment = dict(os.environ, UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1", ASAN_OPTIONS="detect_stack_use_after_return=1")
        began = time.monotonic()
        with tempfile.TemporaryFile() as output:
            self.process = subprocess.Popen(self.command(artifacts), stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd=ROOT)
            _, status, usage = os.wait4(self.process.pid, 0)
            self.process.returncode = self.code = os.waitstatus_to_exitcode(status)
            output.seek(0)
            self.text = output.read().decode(errors="replace")
        self.took = time.monotonic() - began
        self.cpu_s = usage.ru_utime + usage.ru_stime
        number = re.search(r"^stat::number_of_executed_units: *(\d+)", self.text, re.M) or re.search(r"^Done (\d+) runs", self.text, re.M)
        self.executions = int(number.group(1)) if number else max([0, *map(int, re.findall(r"^#(\d+)\t", self.text, re.M))])
        self.edges = max([0, *map(int, re.findall(r" cov: (\d+)", self.text))])
        return self

    @property
    def good(self):
        return self.code == 0

    @property
    def interrupted(self):
        return self.code == INTERRUPTED or self.code in (-signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL)

    def summary(self):
        return f"{self.executions} runs, {self.cpu_s:.0f} s of CPU, {self.edges} edges, {len(corpus_of(self.name))} inputs in the corpus"

    def tail(self, lines=60):
        """The report: from its first line on, without the fuzzer's progress."""
        kept = [line for line in self.text.splitlines() if not re.match(r"#\d+\t|\s*###|INFO:", line)]
        return "\n".join(kept[:lines])


def canary(folder, name, seconds, work):
    """None when the canary was caught for what it is, else what is wrong."""
    program = folder / f"{name}_fuzz"
    if not program.exists():
        return "it was not built"
    run = Slice(name, program, work / name, seconds=max(seconds, CANARY_S)).run(work / "caught")
    if run.good:
        return f"its defect was not found in {run.executions} runs and {run.took:.0f} s"
    if CANARIES[name] not in run.text:
        return f"it ended without {CANARIES[name]!r} in its report:\n{run.tail()}"
    return None
