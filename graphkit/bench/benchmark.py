"""Benchmarks: one model, several contestants, each in a process of its own."""

from __future__ import annotations

import difflib
import statistics
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from graphkit.bench.checking import check, task
from graphkit.bench.environment import busy, environment, usable_processors
from graphkit.bench.result import BUSY, DOUBT, SPREAD, Benchmark, Entry
from graphkit.bench.rounds import interleaved, warm_up
from graphkit.errors import ExecutionError, GraphkitError, InputError, MissingError
from graphkit.files import scratch
from graphkit.frameworks.base import timers
from graphkit.frameworks.given import input_specs
from graphkit.parity.inputs import guessed, input_shapes
from graphkit.parity.lineup import label_of
from graphkit.passes.cast_floats import cast_floats

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import onnx_ir as ir

    from graphkit.bench.checking import Task
    from graphkit.bench.result import Status
    from graphkit.frameworks.base import InputSpec
    from graphkit.frameworks.given import Inputs
    from graphkit.frameworks.timing import Round, Timed, Timer

    Progress = Callable[[str, int, int], None]

__all__ = ["DEFAULT", "LEAST", "ROUNDS", "benchmark"]

DEFAULT: Final = ("torch", "torch-compile", "mxnet", "ort")
"""Contestants where none are named."""
ROUNDS: Final = 15
LEAST: Final = 0.2
"""Seconds that a contestant's calls fill in a round."""
_EXCESS: Final = 1.2
"""How many times its threads a contestant may keep busy before that is told."""


def benchmark(
    model: ir.Model,
    *,
    on: Sequence[str | Timer] = (),
    batches: Sequence[int] = (),
    backward: bool = False,
    threads: int | None = None,
    rounds: int = ROUNDS,
    least: float = LEAST,
    inputs: Inputs = (),
    progress: Progress | None = None,
) -> Benchmark:
    """Time a model on several runtimes, in float32, after checking that they compute the same.

    Each contestant has a process of its own at each batch size. Before anything is timed, what these processes compute
    is compared with a reference as :func:`graphkit.parity.verify.verify` does; one that computes something else is set
    up in a slower way that it may be right in, and not timed if it is not. Then all are timed in turns.

    Args:
        model: A canonical model, as :func:`graphkit.load` gives it.
        on: Contestants, by name or as objects; empty for :data:`DEFAULT`.
        batches: Sizes of a free batch dimension; empty for that of ``inputs``, or 1.
        backward: Whether a call gives the gradients in all float inputs and parameters, too.
        threads: Threads of each contestant; None for as many as there are processors that this process may use.
        rounds: How often each contestant has its turn.
        least: Seconds that its calls fill in a turn.
        inputs: Shapes of inputs with free dimensions, given as to :func:`graphkit.load`.
        progress: Told what is being done, how many steps of it are done and how many there are.

    Raises:
        InputError: No contestant has that name, a shape or batch size does not fit the model, a number is out of its
            range, or there are no gradients.
        MissingError: None of the contestants is installed.
        ExecutionError: No runtime here runs the model, so that nothing can be checked.
    """
    contestants = _resolved(on or DEFAULT)
    if threads is not None and threads < 1:
        raise InputError(f"A benchmark on {threads} threads is none; give 1 or more.")
    if rounds < 1 or not least > 0:
        raise InputError("A benchmark needs at least one round, of more than 0 seconds.")
    specs = input_specs(inputs)
    missing = {timer.name: problem for timer in contestants if (problem := timer.missing()) is not None}
    if len(missing) == len(contestants):
        reasons = "; ".join(f"{timer.name}: {missing[timer.name]}" for timer in contestants)
        raise MissingError(f"There is nothing to time: none of the contestants is available. {reasons}.")
    single = cast_floats(model, "float32")
    sizes: list[int | None] = [*batches] or [_usual(single, specs)]
    for size in sizes:
        input_shapes(single, size, specs)
    contest = _Contest(
        contestants,
        missing,
        usable_processors() if threads is None else threads,
        backward,
        rounds,
        least,
        progress or (lambda _what, _done, _total: None),
    )
    told = environment(contest.threads)
    warnings = [busy(), guessed(single, specs), _cast(model)]
    entries: list[Entry] = []
    references = []
    for size in sizes:
        contest.progress("reference", 0, 0)
        given = task(single, size, specs, backward=backward)
        references.append(given.reference.label)
        entries += contest.at(given)
    for timer in contestants:
        if timer.name not in missing:
            told[timer.name] = timer.version()
    return Benchmark(
        title=f"{label_of(model)}: {'forward and backward' if backward else 'forward'}, float32",
        backward=backward,
        threads=contest.threads,
        rounds=rounds,
        reference=" and ".join(dict.fromkeys(references)),
        entries=tuple(entries),
        environment=told,
        warnings=tuple(dict.fromkeys(filter(None, [*warnings, *_doubts(entries, contest.threads)]))),
    )


def _resolved(on: Sequence[str | Timer]) -> list[Timer]:
    known = timers()
    found: dict[str, Timer] = {}
    for choice in on:
        if isinstance(choice, str) and choice not in known:
            near = difflib.get_close_matches(choice, known, 1)
            hint = f"; is {near[0]!r} meant?" if near else "."
            raise InputError(f"Nothing that can be timed is called {choice!r}{hint} There are {', '.join(known)}.")
        timer = known[choice] if isinstance(choice, str) else choice
        found[timer.name] = timer
    return list(found.values())


def _usual(model: ir.Model, specs: Sequence[InputSpec]) -> int | None:
    """The batch size where none is asked for: that of the model or of given shapes, else 1."""
    if specs:
        return None
    try:
        input_shapes(model, 1, specs)
    except InputError:
        return None
    return 1


def _cast(model: ir.Model) -> str:
    floats = {
        value.dtype.name.lower()
        for value in (*model.graph.inputs, *model.graph.initializers.values())
        if value.dtype is not None and value.dtype.is_floating_point() and value.dtype.bitwidth >= 16
    } - {"float"}
    return f"The model has floats of {', '.join(sorted(floats))}; it is timed in float32." if floats else ""


@dataclass(slots=True)
class _Contest:
    """How contestants are timed."""

    contestants: list[Timer]
    missing: dict[str, str]
    threads: int
    backward: bool
    rounds: int
    least: float
    progress: Progress
    _stack: ExitStack = field(default_factory=ExitStack)

    def at(self, given: Task) -> list[Entry]:
        """All contestants at one batch size."""
        with ExitStack() as self._stack:
            entries = {timer.name: self._entry(timer, given) for timer in self.contestants}
            running: dict[str, Timed] = {}
            self._set_up(given, entries, running)
            for name in list(running):
                self.progress(f"warm up {name}, batch {given.batch}", 0, 0)
                self._attempt(name, entries, running, lambda timed: self._warm(timed, given))
            turns, failed = interleaved(
                running,
                self.rounds,
                self.least,
                lambda done: self.progress(f"time, batch {given.batch}", done, self.rounds),
            )
            for name, problem in failed.items():
                entries[name] = replace(entries[name], status="failed", note=problem)
            for name, found in turns.items():
                entries[name] = _measured(entries[name], running[name], found)
        return list(entries.values())

    def _entry(self, timer: Timer, given: Task) -> Entry:
        return Entry(timer.name, timer.label, given.batch, "unavailable", self.missing.get(timer.name, ""))

    def _start(
        self, timer: Timer, variant: int, given: Task, entries: dict[str, Entry], running: dict[str, Timed]
    ) -> None:
        """Start a contestant and make its first call."""
        folder = self._stack.enter_context(scratch())
        entry = self._entry(timer, given)
        try:
            timed = timer.start(given.model, folder, threads=self.threads, backward=self.backward, variant=variant)
        except GraphkitError as error:
            status: Status = "failed" if isinstance(error, ExecutionError) else "unavailable"
            entries[timer.name] = replace(entry, status=status, note=str(error))
            return
        self._stack.callback(timed.close)
        entries[timer.name] = replace(entry, load=timed.load, setup=timer.variants[variant], note=" ".join(timed.notes))
        running[timer.name] = timed

        def first(timed: Timed) -> None:
            answer = timed.call(given.feeds, given.seeds)
            entries[timer.name] = replace(entries[timer.name], status="measured", first=answer.seconds)

        self._attempt(timer.name, entries, running, first)

    def _attempt(
        self, name: str, entries: dict[str, Entry], running: dict[str, Timed], action: Callable[[Timed], None]
    ) -> None:
        """Let a contestant do something; one that cannot is out."""
        try:
            action(running[name])
        except GraphkitError as error:
            running.pop(name).close()
            entries[name] = replace(entries[name], status="failed", note=str(error))

    def _set_up(self, given: Task, entries: dict[str, Entry], running: dict[str, Timed]) -> None:
        """Start and check all contestants, and those that fail or are wrong once more in each other way there is."""
        pending = [timer for timer in self.contestants if timer.name not in self.missing]
        usual: dict[str, Entry] = {}
        variant = 0
        while pending:
            for number, timer in enumerate(pending):
                self.progress(f"start {timer.name}, batch {given.batch}", number, len(pending))
                self._start(timer, variant, given, entries, running)
            started = {timer.name: running[timer.name] for timer in pending if timer.name in running}
            self.progress(f"check {', '.join(started)}, batch {given.batch}", 0, 0)
            wrong, crashed = check(given, started) if started else ({}, {})
            for name in wrong.keys() | crashed.keys():
                running.pop(name).close()
                status: Status = "wrong" if name in wrong else "failed"
                entries[name] = replace(entries[name], status=status, note=wrong.get(name) or crashed[name])
            for name in running.keys() & usual.keys() & started.keys():
                note = f"in its usual settings {_lowered(usual[name].note)}"
                entries[name] = replace(entries[name], note=" ".join(filter(None, (entries[name].note, note))))
            out = [timer for timer in pending if entries[timer.name].status in ("wrong", "failed")]
            for timer in out:
                usual.setdefault(timer.name, replace(entries[timer.name], setup=""))
            variant += 1
            pending = [timer for timer in out if variant < len(timer.variants)]
        for name in usual.keys() - running.keys():
            entries[name] = usual[name]

    def _warm(self, timed: Timed, given: Task) -> None:
        timed.call(given.feeds, given.seeds)  # checking may have left other arrays
        warm_up(timed, self.least)
        timed.settle()


def _lowered(sentence: str) -> str:
    """A sentence as the end of another one."""
    first = sentence.partition(" ")[0]
    named = any(char.isupper() for char in first[1:])
    return (sentence if named else sentence[:1].lower() + sentence[1:]).rstrip(".")


def _measured(entry: Entry, timed: Timed, found: Sequence[Round]) -> Entry:
    memory = timed.memory()
    return replace(
        entry,
        status="measured",
        seconds=tuple(one.seconds for one in found),
        calls=sum(one.calls for one in found),
        peak=memory.peak,
        running=memory.running,
        work=statistics.median(one.busy * one.seconds for one in found),
        busy=statistics.median(one.busy for one in found),
        others=statistics.mean(one.others for one in found),
    )


def _doubts(entries: Sequence[Entry], threads: int) -> list[str]:
    """What speaks against relying on the figures."""
    told = []
    known = [entry for entry in entries if entry.status == "measured"]
    shaky = [
        f"{entry.name} at batch {entry.batch} ({entry.latency.relative:.0%})"
        for entry in known
        if entry.latency.relative > SPREAD
    ]
    if shaky:
        told.append(
            f"{DOUBT}the middle half of the rounds spreads over more than {SPREAD:.0%} of the median for "
            f"{', '.join(shaky)}."
        )
    others = statistics.mean(entry.others for entry in known) if known else 0.0
    if others > BUSY * usable_processors():
        told.append(
            f"{DOUBT}other programs kept {others:.1f} of {usable_processors()} processors busy while the "
            f"contestants were timed."
        )
    greedy = [f"{entry.name} ({entry.busy:.1f})" for entry in known if entry.busy > _EXCESS * threads]
    if greedy:
        told.append(f"Not alike: more processors were busy than the {threads} threads given, with {', '.join(greedy)}.")
    return told
