"""Recorded sides give what was recorded, for what it was recorded for, and refuse anything else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import pytest
from fakes import model
from recordings import CONDITIONS, SAMPLE, Y, batches, cotangents, feeds, record, side, steps

import graphkit
from graphkit.errors import InputError, MissingError
from graphkit.frameworks.base import Adam, Sgd, runtimes
from graphkit.ir.params import set_alias
from graphkit.parity.baseline import load_baseline
from graphkit.parity.conditions import Conditions
from graphkit.parity.recorded import RecordedSide, recorded_sides
from graphkit.parity.recorder import Recorder
from graphkit.parity.sample import Sampler
from graphkit.parity.samples import Sample
from graphkit.parity.sides import Pool, Side

if TYPE_CHECKING:
    import onnx_ir as ir


@pytest.fixture
def path(tmp_path):
    return record(tmp_path / "b.npz")


def same(found, expected):
    assert list(found) == sorted(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


def test_a_side_is_found_again_as_it_was(path):
    with load_baseline(path) as baseline:
        assert baseline.check(model(), CONDITIONS) == []
        (found,) = recorded_sides(baseline, model())
        assert (found.name, found.dtype) == ("baseline (mxnet 1.0)", "float32")
        assert (found.runtime.name, found.runtime.label) == ("mxnet", "Fake mxnet")
        assert found.runtime.can == {"forward", "taps", "backward", "train"}
        assert found.tappable() == {"product", "sum"}
        found.forward(feeds(), ["sum", "unknown"])
        same(found.outputs, side().outputs)
        same(found.values, {"sum": Y + 1})
        assert found.floors == ({"y": 1e-6}, {"w": 2e-6})
        assert found.gradients is None
        found.backward(feeds(), cotangents(), ["sum", "product"])
        same(found.gradients, side().gradients)
        same(found.slopes, {"sum": Y * 2})
        found.forget()
        assert not found.outputs
        assert found.gradients is None


def test_a_recorded_side_has_all_that_a_side_has(path):
    with load_baseline(path) as baseline:
        found = RecordedSide(baseline, "mxnet", model())
        public = {name for name in dir(Side) if not name.startswith("_")} - {"pool"}
        assert {name for name in public if not hasattr(found, name)} == set()
        assert not found.lacks("w")


def test_a_recorded_runtime_runs_nothing(path):
    with load_baseline(path) as baseline:
        runtime = RecordedSide(baseline, "mxnet", model()).runtime
        assert "recorded" in runtime.missing()
        assert runtime.version() == "mxnet 1.0 (numpy) (recorded)"
        with pytest.raises(MissingError, match="recorded"):
            runtime.open(model())


def test_training_is_found_again_step_by_step(path):
    with load_baseline(path) as baseline:
        found = RecordedSide(baseline, "mxnet", model())
        fed = [batch.feeds for batch in batches(SAMPLE, SAMPLE.stand_in(1))]
        same(found.preview(fed[0]), {"y": Y})
        made = found.batches(fed)
        assert [(one.scales, one.weight, one.loss) for one in made] == [({"y": 0.5}, 2.0, "mse")] * 2
        assert np.array_equal(made[1].targets["y"], Y + SAMPLE.stand_in(1).seed)
        found.begin(made, Adam())
        assert (float(found.step.loss), found.step.loss.shape, found.step.unbiased) == (1.5, (), False)
        assert found.trained_floors == [{"y": 1e-5}, {"w": 3e-5}]
        found.advance()
        same(found.step.parameters, {"w": np.ones((5, 3), np.float32)})
        assert found.step.unbiased
        with pytest.raises(InputError, match="2 steps of training only"):
            found.advance()
        found.finish()
        assert found.step is None


def test_fewer_steps_than_were_recorded_may_be_compared(path):
    with load_baseline(path) as baseline:
        found = RecordedSide(baseline, "mxnet", model())
        found.begin(batches(SAMPLE), Adam())
        assert float(found.step.loss) == 1.5


def test_a_loss_that_is_not_known_stays_unknown(tmp_path):
    with Recorder(tmp_path / "b.npz", model(), CONDITIONS) as recorder:
        recorder.add(SAMPLE, feeds(), [side()])
        recorder.train(SAMPLE, side(), batches(SAMPLE), Adam())
        recorder.step(replace(steps()[0], loss=None))
        recorder.save()
    with load_baseline(tmp_path / "b.npz") as baseline:
        found = RecordedSide(baseline, "mxnet", model())
        found.begin(batches(SAMPLE), Adam())
        assert found.step.loss is None


def test_several_sides_are_kept_apart(tmp_path):
    other = side("torch", "float64")
    other.gradients, other.outputs = None, {"y": Y.astype(np.float64) * 3}
    with Recorder(tmp_path / "b.npz", model(), CONDITIONS) as recorder:
        recorder.add(SAMPLE, feeds(), [other, side()], cotangents())
        recorder.save()
    with load_baseline(tmp_path / "b.npz") as baseline:
        torch, mxnet = recorded_sides(baseline, model())
        assert (torch.name, torch.dtype) == ("baseline (torch 1.0)", "float64")
        assert torch.runtime.can == {"forward", "taps"}
        assert mxnet.runtime.can == {"forward", "taps", "backward"}
        torch.forward(feeds())
        same(torch.outputs, {"y": Y.astype(np.float64) * 3})
        with pytest.raises(InputError, match="no gradients of torch"):
            torch.backward(feeds(), cotangents())


@pytest.mark.parametrize(
    "array",
    [
        np.array([1.5], np.float16),
        np.array([[1.5]], ml_dtypes.bfloat16),
        np.zeros((0, 3), np.float32),
        np.array(2.5),
        np.array([True]),
        np.array(["a", ""], object),
        np.array([np.nan, -np.inf]),
    ],
)
def test_outputs_of_any_type_come_back_as_they_were(tmp_path, array):
    one = side()
    one.outputs = {"y": array}
    with Recorder(tmp_path / "b.npz", model(), CONDITIONS) as recorder:
        recorder.add(SAMPLE, feeds(), [one])
        recorder.save()
    with load_baseline(tmp_path / "b.npz") as baseline:
        found = RecordedSide(baseline, "mxnet", model())
        found.forward(feeds())
        assert found.outputs["y"].dtype == array.dtype
        assert found.outputs["y"].shape == array.shape
        assert repr(found.outputs["y"].tolist()) == repr(array.tolist())


def test_samples_that_stand_in_are_held_but_not_listed(tmp_path):
    with Recorder(tmp_path / "b.npz", model(), CONDITIONS) as recorder:
        for index in range(2):
            one = SAMPLE.stand_in(index)
            recorder.add(one, feeds(one), [side()], cotangents(one), stand_in=index)
        recorder.save()
    with load_baseline(tmp_path / "b.npz") as baseline:
        assert list(baseline.inputs(model())) == [SAMPLE]
        found = RecordedSide(baseline, "mxnet", model())
        assert [found.holds(feeds(SAMPLE.stand_in(index))) for index in range(3)] == [True, True, False]


def test_weights_may_be_called_otherwise_than_in_the_model_they_were_converted_from(path):
    renamed = model()
    for name in ("w", "b"):
        value = renamed.graph.initializers[name]
        set_alias(value, name)
        value.name = f"{name}_0"
    with load_baseline(path) as baseline:
        assert baseline.check(renamed) == []
        found = RecordedSide(baseline, "mxnet", renamed)
        found.backward(feeds(), cotangents())
        assert set(found.gradients) == {"x", "w_0", "b_0"}
        found.begin(batches(SAMPLE), Adam())
        assert set(found.step.parameters) == {"w_0"}


def test_inputs_and_outputs_may_be_called_otherwise(path):
    renamed = model()
    renamed.graph.inputs[0].name, renamed.graph.outputs[0].name = "image", "scores"
    with load_baseline(path) as baseline:
        assert baseline.check(renamed) == []
        found = RecordedSide(baseline, "mxnet", renamed)
        found.forward({"image": feeds()["x"]})
        same(found.outputs, {"scores": Y})
        found.backward({"image": feeds()["x"]}, found.cotangents(3))
        assert set(found.gradients) == {"image", "w", "b"}
        made = found.batches([{"image": feeds()["x"]}])
        assert (set(made[0].targets), made[0].scales) == ({"scores"}, {"scores": 0.5})
        found.begin(made, Adam())


def test_other_inputs_are_told_with_what_is_nearest(path):
    with load_baseline(path) as baseline:
        found = RecordedSide(baseline, "mxnet", model())
        with pytest.raises(InputError, match=r"nearest is 'seed 3', with another 'x' \(SHA-256 [0-9a-f]{16}…\)"):
            found.forward(feeds(Sample("seed 4", 4)))
        with pytest.raises(InputError, match=r"'x' \(\(8, 5\), recorded with \(2, 5\)\)"):
            found.forward(feeds(Sample("seed 3", 3, 8)))


def test_other_cotangents_are_told(path):
    with load_baseline(path) as baseline:
        found = RecordedSide(baseline, "mxnet", model())
        with pytest.raises(InputError, match="for other cotangents of 'y'"):
            found.backward(feeds(), cotangents(Sample("", 4)))


def test_other_training_is_told(path):
    with load_baseline(path) as baseline:
        found = RecordedSide(baseline, "mxnet", model())
        for wrong, rule, words in (
            (batches(SAMPLE), Sgd(), "made by Adam.* not by Sgd"),
            (batches(Sample("", 9)), Adam(), "no steps of training of mxnet on these inputs"),
            (batches(SAMPLE, SAMPLE), Adam(), "on these inputs|steps of training"),
            (batches(SAMPLE, SAMPLE.stand_in(1), SAMPLE.stand_in(2)), Adam(), "2 steps of training, 3 are asked for"),
            ([replace(batches(SAMPLE)[0], weight=1.0)], Adam(), "step 1 of its training is towards other targets"),
            ([replace(batches(SAMPLE)[0], targets={"y": Y})], Adam(), "step 1 of its training"),
        ):
            with pytest.raises(InputError, match=words):
                found.begin(wrong, rule)


@pytest.mark.mxnet
def test_what_mxnet_gave_is_checked_where_there_is_no_mxnet(tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    graphkit.save(graphkit.load(net, inputs=["2x5"]), tmp_path / "net", to="mxnet")
    symbol = graphkit.load(tmp_path / "net-symbol.json", inputs=["2x5"])
    sample = Sample("seed 1", 1)
    path = tmp_path / "mxnet.npz"
    with Pool(symbol) as pool:
        real = Side("mxnet", runtimes()["mxnet"], True, pool, "float64")
        sampler = Sampler(pool, [real], True, (), pytest.fail)
        fed = sampler.feeds(sample)
        real.forward(fed)
        seeds = sampler.seeds(sample)
        real.backward(fed, seeds)
        with Recorder(path, symbol, Conditions(dtype="float64", backward=True, seeds=(1,))) as recorder:
            recorder.add(sample, fed, [real], seeds)
            recorder.save()
    # The .onnx file that was converted from the symbol, on torch and on ONNX Runtime.
    graphkit.save(symbol, tmp_path / "net.onnx", to="onnx")
    converted = graphkit.load(tmp_path / "net.onnx")
    assert failures(path, converted, "float64") == []
    assert failures(path, converted, "float64", 1 + 1e-7) == ["output"]


def failures(path, found: ir.Model, dtype: str, spoil: float = 1.0) -> list[str]:
    """Kinds of the checks of a model against a baseline that fail."""
    with load_baseline(path) as baseline, Pool(found) as pool:
        baseline.check(found)
        recorded = RecordedSide(baseline, "mxnet", found)
        tested = [Side(name, runtimes()[name], False, pool, dtype) for name in ("torch", "ort")]
        dropped = []

        def unable(one, kind, _problem):
            dropped.append((one.name, kind))

        sampler = Sampler(pool, [recorded, *tested], True, (), unable)
        (sample,) = baseline.inputs(found)
        forward = recorded.forward

        def spoiled(fed, taps=()):
            forward(fed, taps)
            recorded.outputs = {name: array * spoil for name, array in recorded.outputs.items()}

        recorded.forward = spoiled
        checks = sampler.checks(sample)
    assert not dropped
    assert {(check.kind, check.right) for check in checks} == {
        (kind, name) for kind in ("output", "input gradient", "parameter gradient") for name in ("torch", "ort")
    }
    assert {check.left for check in checks} == {"baseline (mxnet 1.9.1)"}
    return sorted({check.kind for check in checks if check.verdict == "fail"})
