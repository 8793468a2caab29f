"""Hostile files, given to the readers of files.

    tools/fuzz files READER … [--seconds N] [--executions N] [--processes N] [--folder FOLDER]
    tools/fuzz files READER --read FILE …

Files are real ones and ones that graphkit makes (``tests/hostile/``), changed by what knows their format and, guided by
the coverage of graphkit's readers, by libFuzzer (through atheris). Reading one may raise graphkit's errors only, take
10 seconds of the processor, and allocate 4 times its size and 100 MB. What does otherwise is made smaller, kept as a
file under ``FOLDER/READER/findings`` with its traceback beside it, and does not end the run. The corpus and the counts
in FOLDER add up over runs. The exit status is 1 when something was found.

A finding is kept for good in ``tests/hostile/regressions/READER/`` once its cause is mended.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import mmap
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

_ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(_ROOT / "tests"))
from hostile.readers import READERS, Reader  # noqa: E402  # lies among the tests

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hostile.budget import Outcome

_FOLDER = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "graphkit-fuzz"
_LONGEST = 1 << 17
_STUCK = 90
"""Seconds after which a process is ended that not even a signal gets out of what it does."""
_MOST_DEATHS = 4
"""Processes that may die one after the other without having read a file."""
_SMALLER = 15.0
"""Seconds that are spent on making a finding smaller."""


class Worker:
    """Reads files in this process until it has had enough, and keeps account of it."""

    def __init__(self, reader: Reader, folder: Path, executions: int, until: float) -> None:
        from hostile.budget import measured

        self._measured = measured
        self._reader = reader
        self._folder = folder
        self._executions = executions
        self._until = until
        self._account = folder / "runs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.json"
        self._written = 0.0
        self._count = self._accepted = self._largest = 0
        self._slowest = 0.0
        self._found: Counter[str] = Counter()
        self._now: mmap.mmap | None = None
        self._rng = Random(os.getpid())
        self._others: list[bytes] = []

    def run(self) -> None:
        """Fuzz; ends the process."""
        import atheris

        guided = _modules(self._reader.instruments)
        with atheris.instrument_imports(include=["graphkit"], exclude=sorted(_modules(("graphkit",)) - guided)):
            for module in sorted(guided):
                importlib.import_module(module)
        self._others = self._reader.seeds()
        seeds = self._folder / "seeds"
        for data in self._others:
            _keep(seeds, data)
            self._measured(self._reader.read, data)  # what is imported late is imported now
        names = (self._folder / "corpus", seeds, self._folder / "findings")
        for folder in names:
            folder.mkdir(parents=True, exist_ok=True)
        corpus, seeds, findings = map(str, names)
        atheris.Setup(
            [
                *(sys.argv[0], corpus, seeds, f"-artifact_prefix={findings}/", f"-max_len={_LONGEST}"),
                *("-timeout=1000000", "-rss_limit_mb=6000", "-verbosity=0", "-print_final_stats=0", "-len_control=0"),
            ],
            self._one,
            custom_mutator=self._mutated,
        )
        atheris.Fuzz()

    def _mutated(self, data: bytes, most: int, seed: int) -> bytes:
        import atheris

        self._rng.seed(seed)
        if self._rng.random() < 0.2:
            return bytes(atheris.Mutate(data, most))
        return self._reader.mutated(self._rng, bytes(data), self._others)[:most]

    def _one(self, data: bytes) -> None:
        if time.time() > self._until or self._count >= self._executions:
            self._account_for(final=True)
            self._account.with_suffix(".now").unlink(missing_ok=True)
            os._exit(0)
        if self._now is None:
            self._account_for(final=True)
            self._now = _shared(self._account.with_suffix(".now"))
        self._now[: 8 + len(data)] = len(data).to_bytes(8, "little") + data
        outcome = self._measured(self._reader.read, data)
        self._count += 1
        self._accepted += outcome.accepted
        self._largest = max(self._largest, outcome.allocated)
        self._slowest = max(self._slowest, outcome.seconds)
        if outcome.finding is not None:
            self._keep_finding(data, outcome)
        self._account_for()

    def _keep_finding(self, data: bytes, outcome: Outcome) -> None:
        assert outcome.finding is not None
        signature = outcome.finding.signature
        self._found[signature] += 1
        path = self._folder / "findings" / signature
        if path.exists():
            return
        path.write_bytes(data)
        path.with_name(f"{signature}.txt").write_text(outcome.finding.told, errors="backslashreplace")
        print(f"{self._reader.name}: {signature}: {outcome.finding.told.strip().splitlines()[-1][:300]}", flush=True)

        def same(smaller: bytes) -> bool:
            finding = self._measured(self._reader.read, smaller).finding
            return finding is not None and finding.signature == signature

        if outcome.seconds < 0.5:
            path.write_bytes(smallest(data, same))

    def _account_for(self, *, final: bool = False) -> None:
        if not final and time.time() < self._written + 2:
            return
        self._written = time.time()
        self._account.parent.mkdir(parents=True, exist_ok=True)
        draft = self._account.with_suffix(".part")
        draft.write_text(
            json.dumps(
                {
                    "executions": self._count,
                    "accepted": self._accepted,
                    "slowest": round(self._slowest, 3),
                    "largest": self._largest,
                    "findings": dict(self._found),
                }
            )
        )
        draft.replace(self._account)


def _modules(names: Sequence[str]) -> set[str]:
    """Modules of graphkit that have these names, or lie in packages of these names."""
    files = (_ROOT / "graphkit").rglob("*.py")
    every = {".".join(path.relative_to(_ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files}
    mains = (".__main__", ".worker.main")  # they are run, not imported
    return {each for each in every if f"{each}.".startswith(tuple(f"{name}." for name in names))} - {
        each for each in every if each.endswith(mains)
    }


def smallest(data: bytes, same: Callable[[bytes], bool]) -> bytes:
    """Take parts out of a file as long as the same is found."""
    end = time.time() + _SMALLER
    size = len(data) // 2
    while size:
        at = 0
        while at < len(data) and time.time() < end:
            shorter = data[:at] + data[at + size :]
            if same(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data


def _keep(folder: Path, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()
    if not path.exists():
        path.write_bytes(data)


def fuzz(reader: Reader, folder: Path, executions: int, seconds: float, processes: int) -> None:
    """Let processes read files, and others take the places of those that die of it."""
    until = time.time() + seconds
    before = sum(run["executions"] for run in accounts(folder))
    running: list[subprocess.Popen[bytes]] = []
    folder.mkdir(parents=True, exist_ok=True)
    deaths, done_then = 0, -1
    with (folder / "log").open("wb") as log:
        try:
            while time.time() < until:
                done = sum(run["executions"] for run in accounts(folder)) - before
                for process in [process for process in running if _is_over(process, folder)]:
                    running.remove(process)
                    if process.returncode:
                        _keep_death(reader, folder, process)
                        deaths, done_then = (deaths + 1 if done == done_then else 0), done
                    if deaths > _MOST_DEATHS:
                        raise SystemExit(f"{reader.name}: nothing can be read; {log.name} says why.")
                if done >= executions:
                    return
                while len(running) < processes:
                    share = -(-(executions - done) // processes)
                    command = [sys.executable, __file__, reader.name, "--folder", str(folder.parent)]
                    running.append(subprocess.Popen([*command, "--worker", f"{share}:{until}"], stderr=log))
                time.sleep(1)
        finally:
            for process in running:
                process.terminate()
                process.wait()


def _is_over(process: subprocess.Popen[bytes], folder: Path) -> bool:
    """Whether a process has ended, or has to be ended because nothing gets it out of what it reads."""
    if process.poll() is None:
        beats = [path.stat().st_mtime for path in (folder / "runs").glob(f"*-{process.pid}.json")]
        if beats and time.time() > max(beats) + _STUCK:
            process.kill()
            process.wait()
    return process.poll() is not None


def _keep_death(reader: Reader, folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Keep what a process was reading when it died."""
    for path in (folder / "runs").glob(f"*-{process.pid}.now"):
        kept = path.read_bytes()
        data = kept[8 : 8 + int.from_bytes(kept[:8], "little")]
        name = hashlib.sha1(data, usedforsecurity=False).hexdigest()[:12]
        (folder / "findings" / f"death-{-process.returncode}-{name}").write_bytes(data)
        path.unlink()
        print(f"{reader.name}: a process died with status {process.returncode}", flush=True)


def _shared(path: Path) -> mmap.mmap:
    """A file that outlives the process, for what it reads."""
    with path.open("w+b") as file:
        file.truncate(8 + _LONGEST)
        return mmap.mmap(file.fileno(), 8 + _LONGEST)


def accounts(folder: Path) -> list[dict[str, Any]]:
    """What every process so far has done."""
    return [json.loads(path.read_bytes()) for path in (folder / "runs").glob("*.json")]


def table(folder: Path, names: list[str]) -> str:
    """What all runs so far have come to."""
    lines = ["| Reader | Executions | Accepted | Findings | Slowest | Largest allocation |", "| --- " * 6 + "|"]
    for name in names:
        runs = accounts(folder / name)
        count = sum(run["executions"] for run in runs)
        accepted = sum(run["accepted"] for run in runs) / max(count, 1)
        kinds: Counter[str] = Counter(
            path.name.partition("-")[0] for path in (folder / name / "findings").glob("*") if path.suffix != ".txt"
        )
        told = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items())) or "none"
        slowest = max((run["slowest"] for run in runs), default=0)
        largest = max((run["largest"] for run in runs), default=0)
        lines.append(f"| {name} | {count:,} | {accepted:.0%} | {told} | {slowest:.2f} s | {largest / 1e6:.1f} MB |")
    return "\n".join(lines)


def read(reader: Reader, path: Path) -> bool:
    """Read one file and tell what came of it."""
    from hostile.budget import measured

    data = path.read_bytes()
    for seed in reader.seeds()[:20]:
        measured(reader.read, seed)
    outcome = measured(reader.read, data)
    told = "read" if outcome.accepted else "refused"
    if outcome.finding is None and not outcome.accepted:
        try:
            reader.read(data)
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
    if outcome.finding is not None:
        told = f"{outcome.finding.signature}\n{outcome.finding.told}"
    print(f"{path.name}: {outcome.seconds:.3f} s, {outcome.allocated / 1e6:.1f} MB, {told}")
    return outcome.finding is None


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tools/fuzz files", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reader", nargs="*", choices=[*READERS, []], help=f"of {', '.join(READERS)}; all by default")
    parser.add_argument("--seconds", type=float, default=1e9, help="for each reader")
    parser.add_argument("--executions", type=int, default=10**12, help="for each reader")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="of the corpus, findings and counts")
    parser.add_argument("--read", type=Path, nargs="+", help="read these files only")
    parser.add_argument("--table", action="store_true", help="only tell what runs so far have come to")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names = arguments.reader or list(READERS)
    if arguments.worker:
        executions, _, until = arguments.worker.partition(":")
        Worker(READERS[names[0]], arguments.folder / names[0], int(executions), float(until)).run()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that processes go, too
    if arguments.read:
        told = [read(READERS[names[0]], path) for path in arguments.read]
        return int(not all(told))
    for name in () if arguments.table else names:
        if arguments.seconds == 1e9 and arguments.executions == 10**12:
            parser.error("give --seconds or --executions")
        fuzz(READERS[name], arguments.folder / name, arguments.executions, arguments.seconds, arguments.processes)
    print(table(arguments.folder, names))
    return int(any(path for name in names for path in (arguments.folder / name / "findings").glob("*")))


if __name__ == "__main__":
    raise SystemExit(main())
