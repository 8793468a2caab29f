"""Baselines: what was recorded is what is compared with, and a stale one is told from a model that is wrong."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from fakes import Fake, model

import graphkit
from graphkit.errors import FormatError, InputError, MissingError
from graphkit.frameworks.base import Adam, Batch, InputSpec, Sgd, Step, runtimes
from graphkit.ir.params import set_alias
from graphkit.parity.baseline import load_baseline
from graphkit.parity.conditions import Conditions
from graphkit.parity.inputs import draw_inputs, draw_seeds
from graphkit.parity.recorded import RecordedSide, recorded_sides
from graphkit.parity.recorder import Recorder
from graphkit.parity.sample import Sampler
from graphkit.parity.samples import Sample
from graphkit.parity.sides import Pool, Side
from graphkit.passes.cast_floats import cast_floats

CONDITIONS = Conditions(backward=True, taps=True, train_steps=2, rule=Adam(), loss="mse", seeds=(0, 3))
SAMPLE = Sample("seed 3", 3)
Y = np.arange(6, dtype=np.float32).reshape(2, 3)


class Versioned(Fake):
    def version(self) -> str:
        return f"{self.name} 1.0 (numpy)"


def side(name: str = "mxnet", dtype: str = "float32") -> Side:
    """A side that has run a sample."""
    found = Side(name, Versioned(name), True, Pool(model()), dtype)
    found.outputs, found.values = {"y": Y}, {"product": Y - 1, "sum": Y + 1}
    found.gradients = {"x": np.ones((2, 5), np.float32), "w": np.ones((5, 3), np.float32), "b": np.ones(3, np.float32)}
    found.slopes = {"sum": Y * 2}
    return found


def feeds(sample: Sample = SAMPLE) -> dict[str, np.ndarray]:
    return sample.feeds(model())


def cotangents(sample: Sample = SAMPLE) -> dict[str, np.ndarray]:
    return draw_seeds({"y": Y}, sample.seed)


def batches(*samples: Sample) -> list[Batch]:
    return [Batch(feeds(one), {"y": Y + one.seed}, {"y": 0.5}, 2.0) for one in samples]


def steps(count: int = 2) -> list[Step]:
    return [
        Step({"y": Y + at}, np.array(1.5 - at, np.float32), {"w": np.full((5, 3), at, np.float32)}, {}, bool(at))
        for at in range(count)
    ]


def record(path, of=None, conditions=CONDITIONS, samples=(SAMPLE,), **more):
    with Recorder(path, of or model(), conditions, title="net", environment={"graphkit": "9"}) as recorder:
        for sample in samples:
            recorder.add(sample, feeds(sample), [side()], cotangents(sample), ({"y": 1e-6}, {"w": 2e-6}), **more)
        recorder.train(SAMPLE, side(), batches(SAMPLE, SAMPLE.stand_in(1)), Adam())
        for step in steps():
            recorder.step(step)
        recorder.trained([{"y": 1e-5}, {"w": 3e-5}])
        recorder.save()
    return path


@pytest.fixture
def path(tmp_path):
    return record(tmp_path / "b.npz")


def same(found, expected):
    assert list(found) == sorted(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


def stale(of, words, path, asked=None):
    with load_baseline(path) as baseline, pytest.raises(InputError, match=words) as caught:
        baseline.check(of, asked)
    assert f"record it anew with --save-baseline {path}" in str(caught.value)
    return str(caught.value)


# What was recorded


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


def test_conditions_and_title_are_kept(tmp_path):
    conditions = replace(CONDITIONS, rule=Sgd(0.1), batches=(4,), inputs=(InputSpec("x", (None, 5)),), dtype="float64")
    with load_baseline(record(tmp_path / "b.npz", conditions=conditions)) as baseline:
        assert baseline.conditions == conditions
        assert (baseline.title, baseline.environment) == ("net", {"graphkit": "9"})


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


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    assert record(tmp_path / "a.npz").read_bytes() == record(tmp_path / "b.npz").read_bytes()


def test_the_file_is_one_of_numpys(path):
    with np.load(path, allow_pickle=False) as archive:
        assert np.array_equal(archive["samples/0/mxnet/outputs/y"], Y)
        assert json.loads(archive["baseline.json"])["format"] == "graphkit baseline"


# The samples


def test_drawn_inputs_are_drawn_again(path):
    with load_baseline(path) as baseline:
        (sample,) = baseline.inputs(model())
        assert sample == SAMPLE


def test_given_inputs_are_kept(tmp_path):
    x = np.full((2, 5), 7, np.float32)
    given = Sample("batch.npz", 0, None, {"x": x})
    with load_baseline(record(tmp_path / "b.npz", samples=[given])) as baseline:
        (sample,) = baseline.inputs(model())
        assert sample.label == "batch.npz"
        assert np.array_equal(sample.given["x"], x)
        assert np.array_equal(sample.stand_in(1).given["x"], given.stand_in(1).given["x"])


def test_inputs_that_are_drawn_otherwise_now_are_those_that_were_kept(path, monkeypatch):
    monkeypatch.setattr("graphkit.parity.baseline.draw_inputs", lambda *_: {"x": np.zeros((2, 5), np.float32)})
    with load_baseline(path) as baseline:
        (sample,) = baseline.inputs(model())
        assert np.array_equal(sample.given["x"], feeds()["x"])


def test_large_drawn_inputs_are_not_kept_and_missed_if_they_change(tmp_path, monkeypatch):
    monkeypatch.setattr("graphkit.parity.recorder.SMALL", 8)
    path = record(tmp_path / "b.npz")
    with load_baseline(path) as baseline:
        assert list(baseline.inputs(model())) == [SAMPLE]
        monkeypatch.setattr("graphkit.parity.baseline.draw_inputs", lambda *_: {"x": np.zeros((2, 5), np.float32)})
        with pytest.raises(InputError, match="other inputs: 'x' of sample 'seed 3' were drawn from seed 3"):
            list(baseline.inputs(model()))


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


def test_shapes_that_were_asked_for_are_drawn_again(tmp_path):
    specs = (InputSpec("x", (7, 5)),)
    with Recorder(tmp_path / "b.npz", model(), replace(CONDITIONS, inputs=specs)) as recorder:
        recorder.add(SAMPLE, draw_inputs(model(), 3, None, specs), [side()])
        recorder.save()
    with load_baseline(tmp_path / "b.npz") as baseline:
        assert list(baseline.inputs(model())) == [SAMPLE]


# Stale ones


def changed(name: str, array: np.ndarray) -> ir.Model:
    found = model()
    found.graph.initializers[name].const_value = ir.tensor(array, name=name)
    return found


def test_other_weights_are_told_by_name(path):
    b = model().graph.initializers["b"].const_value.numpy().copy()
    b[1] = np.nextafter(b[1], np.float32(9))
    told = stale(changed("b", b), r"other weights: 1 of 2 parameters and buffers differ \(b\)", path)
    assert "the graph is the same" in told
    assert "net with mxnet 1.0 (numpy) and graphkit 9" in told


def test_another_shape_of_a_weight_is_told(path):
    wider = model()
    wider.graph.initializers["b"].const_value = ir.tensor(np.zeros((1, 3), np.float32), name="b")
    stale(wider, "b had shape 3, now 1×3", path)


def test_weights_of_other_names_are_told(path):
    renamed = model()
    renamed.graph.initializers["b"].name = "bias"
    stale(renamed, r"1 of 2 are missing \(b\), 1 are new \(bias\), the numbers of these are the same", path)


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
        found.backward({"image": feeds()["x"]}, {"scores": cotangents()["y"]})
        assert set(found.gradients) == {"image", "w", "b"}
        made = found.batches([{"image": feeds()["x"]}])
        assert (set(made[0].targets), made[0].scales) == ({"scores"}, {"scores": 0.5})
        found.begin(made, Adam())


def test_the_precision_that_the_model_is_in_does_not_matter(path):
    with load_baseline(path) as baseline:
        assert baseline.check(cast_floats(model(), "float64")) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("(float[n, 5] x, float[n, 3] z) => (float[n, 3] y) { p = MatMul(x, w) y = Add(p, z) }", "inputs 'x' .float."),
        ("(int64[n, 5] x) => (float[n, 3] y) { f = Cast<to=1>(x) y = MatMul(f, w) }", "the model has 'x' .int64."),
        ("(float[n, 5] x) => (float[n, 3] y, float[n, 3] z) { y = MatMul(x, w) z = Neg(y) }", "outputs 'y' were"),
    ],
)
def test_other_inputs_or_outputs_are_told(path, text, words):
    signature, body = text.split(" {", 1)
    weights = "<float[5, 3] w = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}>"
    other = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["": 23]> g {signature} {weights} {{{body}')
    stale(other, f"other inputs or outputs: .*{words}", path)


def test_another_graph_is_a_note_as_it_is_what_is_to_be_compared(path):
    other = model()
    list(other.graph)[-1].op_type = "LeakyRelu"
    with load_baseline(path) as baseline:
        (told,) = baseline.check(other)
        assert "graph is another" in told


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"dtype": "float64"}, "dtype float32 was recorded, float64 is asked for"),
        ({"mode": "train"}, "mode eval was recorded"),
        ({"train_steps": 3}, "2 steps of training were recorded, 3 asked for"),
        ({"train_steps": 1, "rule": Adam(0.5)}, "steps of training were recorded with Adam.*0.5"),
        ({"train_steps": 1, "loss": "cross-entropy"}, "loss mse was recorded, cross-entropy"),
        ({"seeds": (0, 1)}, "seeds 1 were not recorded, 0, 3 were"),
        ({"batches": (8,)}, "batches 8 were not recorded, none were"),
    ],
)
def test_other_settings_are_told(path, asked, words):
    stale(model(), f"other settings: {words}", path, replace(CONDITIONS, **asked))


def test_quantities_that_were_not_recorded_are_told(tmp_path):
    path = record(tmp_path / "b.npz", conditions=Conditions())
    told = stale(model(), "no gradients were recorded", path, Conditions(backward=True, taps=True, train_steps=1))
    assert "no values between nodes were recorded" in told
    assert "no steps of training were recorded, 1 asked for" in told


def test_less_than_was_recorded_may_be_asked_for(path):
    with load_baseline(path) as baseline:
        assert baseline.check(model(), Conditions(seeds=(3,), train_steps=1, rule=Adam(), loss="mse")) == []


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


# Files


def test_without_saving_nothing_is_left(tmp_path):
    with Recorder(tmp_path / "b.npz", model(), CONDITIONS) as recorder:
        recorder.add(SAMPLE, feeds(), [side()])
    recorder = Recorder(tmp_path / "b.npz", model(), CONDITIONS)
    with recorder, pytest.raises(InputError, match="nothing to record"):
        recorder.save()
    recorder = Recorder(tmp_path / "b.npz", model(), CONDITIONS)
    recorder.add(SAMPLE, feeds(), [side()])
    recorder.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert list(tmp_path.iterdir()) == []


def test_an_old_baseline_stays_until_the_new_one_is_complete(path):
    old = path.read_bytes()
    with Recorder(path, model(1), CONDITIONS) as recorder:
        recorder.add(SAMPLE, feeds(), [side()])
        assert path.read_bytes() == old
        recorder.save()
        assert path.read_bytes() != old
    assert [file.name for file in path.parent.iterdir()] == ["b.npz"]


def test_places_that_cannot_be_written_are_told_before_anything_runs(tmp_path):
    for where in (tmp_path / "nowhere" / "b.npz", tmp_path):
        with pytest.raises(InputError, match="cannot be written"):
            Recorder(where, model(), CONDITIONS)


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    recorder = Recorder(tmp_path / "b.npz", model(), CONDITIONS)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recorder._writer, "array", full)
    with recorder, pytest.raises(InputError, match="cannot be written: No space left"):
        recorder.add(SAMPLE, feeds(), [side()])
    assert list(tmp_path.iterdir()) == []


def test_sequences_are_refused(tmp_path):
    one = side()
    one.outputs = {"y": [Y]}
    recorder = Recorder(tmp_path / "b.npz", model(), CONDITIONS)
    with recorder, pytest.raises(InputError, match="'y' is no tensor"):
        recorder.add(SAMPLE, feeds(), [one])


def about(path, change):
    """Another baseline, with its description changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    told = json.loads(members["baseline.json"])
    members["baseline.json"] = json.dumps(change(told)).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_files_that_are_no_baselines_are_told(tmp_path, path):
    with pytest.raises(InputError, match="No such file"):
        load_baseline(tmp_path / "nowhere.npz")
    (tmp_path / "x.npz").write_text("no zip")
    with pytest.raises(FormatError, match=r"x\.npz cannot be read"):
        load_baseline(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", x=Y)
    with pytest.raises(FormatError, match=r"no baseline: it holds no baseline\.json"):
        load_baseline(tmp_path / "x.npz")
    for change, words in (
        (lambda told: told | {"version": 2}, "of version 2 of the format of baselines, this graphkit reads version 1"),
        (lambda _: {"format": "other", "version": 1}, "is another thing than a baseline"),
        (lambda _: [], "makes no sense"),
        (lambda _: {"format": "graphkit baseline", "version": 1}, "makes no sense: KeyError"),
    ):
        record(path)
        about(path, change)
        with pytest.raises(FormatError, match=words):
            load_baseline(path)


def everything(path):
    """All that a baseline gives."""
    with load_baseline(path) as baseline:
        notes = baseline.check(model(), CONDITIONS)
        found = RecordedSide(baseline, "mxnet", model())
        found.forward(feeds(), sorted(found.tappable()))
        found.backward(feeds(), cotangents(), sorted(found.tappable()))
        arrays = [*found.outputs.items(), *found.values.items(), *found.gradients.items(), *found.slopes.items()]
        found.begin(found.batches([feeds(), feeds(SAMPLE.stand_in(1))]), Adam())
        found.advance()
        arrays += [*found.step.parameters.items(), *found.step.outputs.items()]
        (sample,) = baseline.inputs(model())
        return notes, sample, [(name, array.tobytes()) for name, array in arrays]


def test_every_cut_and_every_changed_byte_is_found_out_or_changes_nothing(path):
    whole = path.read_bytes()
    expected = everything(path)
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        with pytest.raises(FormatError):
            load_baseline(path)
    found_out = 0
    for place in range(0, len(whole), 13):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        try:
            found = everything(path)
        except InputError:
            found_out += 1
            continue
        assert found == expected
    assert found_out > len(whole) / 13 / 4


# The real MXNet


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
    assert dropped == [("ort", "backward")]
    assert {(check.kind, check.right) for check in checks} == {
        ("output", "torch"),
        ("output", "ort"),
        ("input gradient", "torch"),
        ("parameter gradient", "torch"),
    }
    assert {check.left for check in checks} == {"baseline (mxnet 1.9.1)"}
    return sorted({check.kind for check in checks if check.verdict == "fail"})
