"""What decides over a tensor: of trials the majority, of samples the worst."""

from __future__ import annotations

import pytest

from graphkit.parity.deciding import TRIALS, Tally, decided
from graphkit.parity.samples import Sample
from graphkit.report.report import Check

SAMPLE = Sample("seed 0", 0)


def check(verdict="fail", *, kind="input gradient", name="x", error=1.0, floor=1e-7, peak=1.0, **more):
    return Check(kind, name, "a", "b", verdict, error=error, tol=0.1, floor=floor, peak=peak, **more)


class Trials:
    """Gives the checks of one trial after the other, and counts them."""

    def __init__(self, *trials):
        self.trials, self.asked = trials, []

    def __call__(self, sample, index):
        self.asked.append((sample.seed, index))
        return self.trials[index]


@pytest.mark.parametrize(
    ("verdicts", "verdict", "asked"),
    [
        (["pass"], "pass", 1),
        (["fail", "fail", "fail"], "fail", 3),
        (["fail", "pass", "pass", "pass"], "pass", 4),
        (["fail", "pass", "fail", "pass", "pass"], "pass", 5),
        (["fail", "pass", "fail", "pass", "fail"], "fail", 5),
    ],
)
def test_most_samples_decide_over_a_gradient_and_no_more_are_run_than_it_takes(verdicts, verdict, asked):
    trials = Trials(*([check(each)] for each in verdicts))
    (found,) = decided(trials, SAMPLE)
    assert found.verdict == verdict
    assert len(trials.asked) == asked
    assert len({seed for seed, _ in trials.asked}) == asked


def test_a_gradient_that_is_let_pass_says_how_often_it_was_beyond():
    trials = Trials([check(error=0.5)], *[[check("pass", error=0.01, note="near")]] * 4)
    (found,) = decided(trials, SAMPLE)
    assert found.error == 0.01
    assert found.note == "near; beyond its bound, by 5.0e-01, in 1 of 4 samples"


@pytest.mark.parametrize(
    "wrong",
    [
        check(kind="output"),
        check(kind="value"),
        check(floor=0.0),
        check(kind="parameter", floor=0.0, step=2),
    ],
)
def test_one_sample_decides_over_what_no_kink_disturbs(wrong):
    trials = Trials([wrong])
    assert decided(trials, SAMPLE) == [wrong]
    assert len(trials.asked) == 1


@pytest.mark.parametrize(
    "wrong", [check(kind="value gradient"), check(kind="parameter gradient"), check(kind="parameter", step=1)]
)
def test_gradients_of_all_kinds_and_what_is_trained_are_put_to_more_samples(wrong):
    trials = Trials(*[[wrong]] * TRIALS)
    assert decided(trials, SAMPLE)[0].verdict == "fail"
    assert len(trials.asked) == 3


def test_a_gradient_that_is_zero_in_a_sample_has_no_vote_there():
    zero = check("pass", peak=0.0)
    trials = Trials([check()], [zero], [zero], [zero], [zero])
    assert decided(trials, SAMPLE)[0].verdict == "fail"
    assert len(trials.asked) == TRIALS


def test_each_tensor_has_its_own_vote():
    a, b = ({"name": name} for name in "ab")
    trials = Trials(
        [check(**a), check(**b)],
        [check("pass", **a), check(**b)],
        [check("pass", **a), check(**b)],
        [check("pass", **a), check("pass", **b)],
    )
    assert [(each.name, each.verdict) for each in decided(trials, SAMPLE)] == [("a", "pass"), ("b", "fail")]


def test_samples_that_cannot_be_compared_do_not_decide():
    trials = Trials([check()], [check("pass")], [check("pass")], [check("pass")])
    assert decided(trials, SAMPLE, lambda sample: sample.seed == SAMPLE.seed)[0].verdict == "fail"
    assert len(trials.asked) == 1


def tallied(*checks):
    tally = Tally()
    for number, each in enumerate(checks):
        tally.add([each], Sample(f"seed {number}", number))
    (found,) = tally.checks
    return found


def test_of_several_samples_the_worst_is_told_and_where_it_was():
    found = tallied(check("pass", error=0.02), check("pass", error=0.05), check("pass", error=0.01))
    assert (found.error, found.sample, found.samples, found.failures) == (0.05, "seed 1", 3, 0)


def test_one_failure_among_many_samples_fails_and_failures_are_counted():
    found = tallied(check("pass", error=0.09), check(error=0.2), check(error=0.3), check("pass", error=0.0))
    assert (found.verdict, found.error, found.sample) == ("fail", 0.3, "seed 2")
    assert (found.samples, found.failures) == (4, 2)


def test_closeness_to_the_bound_is_what_is_worst_where_bounds_differ():
    loose = Check("output", "y", "a", "b", "pass", error=0.5, tol=1.0)
    tight = Check("output", "y", "a", "b", "pass", error=0.09, tol=0.1)
    assert tallied(loose, tight) == tallied(tight, loose).__class__(
        "output", "y", "a", "b", "pass", error=0.09, tol=0.1, sample="seed 1", samples=2
    )


def test_what_was_compared_stands_for_what_was_not():
    absent = Check("output", "y", "a", "b", "unavailable")
    there = Check("output", "y", "a", "b", "pass")
    assert tallied(absent, there).verdict == "pass"
    assert tallied(there, absent).verdict == "pass"


def test_a_difference_from_what_has_to_be_equal_is_worse_than_none():
    exact, off = (Check("output", "y", "a", "b", "fail", error=error) for error in (0.0, 1e-9))
    assert tallied(exact, off).sample == "seed 1"


def test_of_one_sample_no_name_is_told():
    found = tallied(check())
    assert (found.sample, found.samples, found.failures) == ("", 1, 1)


def test_tensors_keep_the_order_of_the_first_sample_and_steps_are_told_apart():
    tally = Tally()
    tally.add([check(name="b"), check(name="a", step=1), check(name="a", step=2)], SAMPLE)
    tally.add([check(name="a", step=2), check(name="c"), check(name="b")], Sample("seed 1", 1))
    assert [(each.name, each.step, each.samples) for each in tally.checks] == [
        ("b", 0, 2),
        ("a", 1, 1),
        ("a", 2, 2),
        ("c", 0, 1),
    ]
