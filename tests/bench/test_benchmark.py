"""Benchmarks of contestants that are right, wrong, slow or dying in a known way."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from contests import Contestant
from fakes import model

from graphkit.bench.benchmark import benchmark
from graphkit.bench.result import leaders, ratio
from graphkit.errors import ExecutionError, InputError, MissingError, UnsupportedError, UnsupportedNode
from graphkit.frameworks.base import InputSpec


def timed(*contestants, **options):
    return benchmark(model(), on=contestants, **{"rounds": 4, "least": 0.1, **options})


def shifted(arrays):
    return {name: array + np.float32(0.01) for name, array in arrays.items()}


def by_name(found):
    return {entry.name: entry for entry in found.entries}


def test_right_contestants_are_timed_in_as_many_rounds_as_asked_for():
    found = timed(Contestant("one", durations=(0.1, 0.12, 0.11, 0.13)), Contestant("two", durations=(0.2,)))
    one, two = found.entries
    assert found.right
    assert one.seconds == (0.1, 0.12, 0.11, 0.13)
    assert two.seconds == (0.2,) * 4
    assert one.latency.median == pytest.approx(0.115)
    assert two.throughput.median == pytest.approx(5.0)
    assert (one.load, one.first, one.peak, one.running) == (0.5, 0.25, 3_000_000, 2_000_000)
    assert (two.busy, two.work) == (1.0, 0.2)
    assert found.environment["one"] == "one 1.0"


def test_a_ratio_compares_rounds_with_each_other():
    found = timed(Contestant("one", durations=(0.1, 1.0)), Contestant("two", durations=(0.2, 2.0)))
    one, two = found.entries
    assert ratio(two, one).median == pytest.approx(0.5)
    assert ratio(two, one).relative == pytest.approx(0.0)
    assert leaders(found.entries) == (one,)


def test_contestants_that_cannot_be_told_apart_are_both_fastest():
    found = timed(Contestant("one", durations=(0.10, 0.12)), Contestant("two", durations=(0.12, 0.10)))
    assert len(leaders(found.entries)) == 2


def test_rounds_take_turns_and_each_begins_with_another_contestant():
    log = []
    timed(*(Contestant(name, log=log) for name in "abc"), rounds=3)
    assert "".join(name for name, what in log if what == "round") == "abcbcacab"


def test_contestants_are_checked_and_warmed_up_before_any_is_timed():
    log = []
    timed(*(Contestant(name, log=log) for name in "ab"))
    steps = [what for _, what in log]
    assert steps.index("round") > max(number for number, what in enumerate(steps) if what in ("call", "settle"))
    assert steps[-2:] == ["close", "close"]


@pytest.mark.parametrize("backward", [False, True])
def test_a_contestant_that_computes_something_else_is_not_timed(backward):
    log = []
    spoilt = {"gradients": (shifted,)} if backward else {"outputs": (shifted,)}
    found = timed(Contestant("right"), Contestant("other", log=log, **spoilt), backward=backward)
    assert not found.right
    assert by_name(found)["right"].status == "measured"
    wrong = by_name(found)["other"]
    assert (wrong.status, wrong.seconds) == ("wrong", ())
    assert ("gradient" if backward else "output y") in wrong.note
    assert "where" in wrong.note
    assert ("other", "round") not in log
    assert ("other", "close") in log


def test_a_wrong_contestant_is_not_excused_by_the_runtime_that_it_is_called_as():
    (entry,) = timed(Contestant("ort", gradients=(shifted,)), backward=True).entries
    assert entry.status == "wrong"


def test_wrong_gradients_do_not_matter_where_none_are_timed():
    assert timed(Contestant("one", gradients=(shifted,))).right


def test_a_contestant_is_set_up_in_the_fastest_way_in_which_it_is_right():
    found = timed(Contestant("one", outputs=(shifted, shifted, None), variants=("", "slower", "slowest")))
    (entry,) = found.entries
    assert found.right
    assert entry.setup == "slowest"
    assert "in its usual settings output y is off by" in entry.note


def test_a_contestant_that_crashes_is_set_up_in_another_way(monkeypatch):
    log = []
    one = Contestant("one", variants=("", "slower"), log=log)
    start = one.start

    def crash_at_first(*args, variant=0, **options):
        if not variant:
            raise ExecutionError("The kernel is broken.")
        return start(*args, variant=variant, **options)

    monkeypatch.setattr(one, "start", crash_at_first)
    (entry,) = timed(one).entries
    assert (entry.status, entry.setup) == ("measured", "slower")
    assert entry.note == "in its usual settings the kernel is broken"


def test_a_contestant_that_is_wrong_in_every_way_is_not_timed():
    found = timed(Contestant("one", outputs=(shifted,), variants=("", "slower")), Contestant("two"))
    assert by_name(found)["one"].status == "wrong"
    assert by_name(found)["two"].status == "measured"


def test_a_contestant_that_dies_is_out_and_the_others_go_on():
    crashed = ExecutionError("It crashed.")
    found = timed(
        Contestant("start", fails=crashed), Contestant("later", dies={2: crashed}), Contestant("well"), rounds=4
    )
    assert not found.right
    assert {name: entry.status for name, entry in by_name(found).items()} == {
        "start": "failed",
        "later": "failed",
        "well": "measured",
    }
    assert by_name(found)["later"].note == "It crashed."
    assert len(by_name(found)["well"].seconds) == 4


def test_what_cannot_express_the_model_or_is_not_installed_is_shown_as_not_available():
    refused = UnsupportedError("Fake", [UnsupportedNode("Relu", "relu_0", "it has none")])
    found = timed(Contestant("one"), Contestant("two", fails=refused), Contestant("three", absent="install it"))
    assert found.right
    assert by_name(found)["two"].status == by_name(found)["three"].status == "unavailable"
    assert "relu_0" in by_name(found)["two"].note
    assert by_name(found)["three"].note == "install it"


def test_every_batch_size_has_processes_of_its_own():
    log = []
    found = timed(Contestant("one", log=log), batches=(1, 8))
    assert found.batches == (1, 8)
    assert [what for _, what in log].count("start") == 2
    assert [entry.throughput.median for entry in found.entries] == pytest.approx([10.0, 80.0])


def test_without_a_batch_size_it_is_one_or_that_of_given_shapes():
    assert timed(Contestant("one")).batches == (1,)
    assert timed(Contestant("one"), inputs=[InputSpec("x", (3, 5))]).batches == (3,)


def test_figures_that_spread_are_called_unreliable():
    found = timed(Contestant("one", durations=(0.1, 0.2)), Contestant("two"))
    assert any(told.startswith("Not reliable") and "one at batch 1" in told for told in found.warnings)
    assert not any("two at batch" in told for told in found.warnings)


def test_processes_are_ended_when_the_user_interrupts():
    log = []
    with pytest.raises(KeyboardInterrupt):
        timed(Contestant("one", log=log), Contestant("two", log=log, dies={1: KeyboardInterrupt()}))
    assert [entry for entry in log if entry[1] == "close"] == [("two", "close"), ("one", "close")]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"on": ("torhc",)}, "Nothing that can be timed is called 'torhc'; is 'torch' meant?"),
        ({"on": ("numpy",)}, "There are .*mxnet.*ort-cuda"),
        ({"on": ("ort",), "threads": 0}, "1 or more"),
        ({"on": ("ort",), "rounds": 0}, "at least one round"),
    ],
)
def test_what_makes_no_sense_is_refused(options, told):
    with pytest.raises(InputError, match=told):
        benchmark(model(), **options)


def test_a_benchmark_of_nothing_that_is_there_is_refused():
    with pytest.raises(MissingError, match=r"nothing to time.*one: install it; two: install that"):
        timed(Contestant("one", absent="install it"), Contestant("two", absent="install that"))


def test_a_batch_size_is_refused_where_it_is_fixed():
    fixed = model()
    fixed.graph.inputs[0].shape = ir.Shape([2, 5])
    with pytest.raises(InputError, match="batch dimension of input 'x' is fixed at 2"):
        benchmark(fixed, on=[Contestant("one")], batches=(8,))
    assert benchmark(fixed, on=[Contestant("one")], rounds=1, least=0.1).batches == (2,)


def test_gradients_are_refused_where_there_are_none():
    classes = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["": 23]> '
        "g (float[2, 5] x) => (int64[2] y) { y = ArgMax<axis=1, keepdims=0>(x) }"
    )
    with pytest.raises(InputError, match=r"no float output\. Leave --backward out"):
        benchmark(classes, on=[Contestant("one")], backward=True)
