"""Baselines: what was recorded is what is compared with, and a stale one is told from a model that is wrong."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest
from fakes import model
from recordings import CONDITIONS, SAMPLE, Y, cotangents, feeds, record, side

from graphkit.errors import FormatError, InputError
from graphkit.frameworks.base import Adam, InputSpec, Sgd
from graphkit.parity.baseline import load_baseline
from graphkit.parity.conditions import Conditions
from graphkit.parity.inputs import draw_inputs
from graphkit.parity.recorded import RecordedSide
from graphkit.parity.recorder import Recorder
from graphkit.parity.samples import Sample
from graphkit.passes.cast_floats import cast_floats


@pytest.fixture
def path(tmp_path):
    return record(tmp_path / "b.npz")


def stale(of, words, path, asked=None):
    with load_baseline(path) as baseline, pytest.raises(InputError, match=words) as caught:
        baseline.check(of, asked)
    assert f"record it anew with --save-baseline {path}" in str(caught.value)
    return str(caught.value)


def test_conditions_and_title_are_kept(tmp_path):
    conditions = replace(CONDITIONS, rule=Sgd(0.1), batches=(4,), inputs=(InputSpec("x", (None, 5)),), dtype="float64")
    with load_baseline(record(tmp_path / "b.npz", conditions=conditions)) as baseline:
        assert baseline.conditions == conditions
        assert (baseline.title, baseline.environment) == ("net", {"graphkit": "9"})


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    assert record(tmp_path / "a.npz").read_bytes() == record(tmp_path / "b.npz").read_bytes()


def test_the_file_is_one_of_numpys(path):
    with np.load(path, allow_pickle=False) as archive:
        assert np.array_equal(archive["samples/0/mxnet/outputs/y"], Y)
        assert json.loads(archive["baseline.json"])["format"] == "graphkit baseline"


def test_drawn_inputs_are_drawn_again(path):
    with load_baseline(path) as baseline:
        (sample,) = baseline.inputs(model())
        assert sample == SAMPLE


def test_inputs_that_are_called_otherwise_are_the_same_numbers(path, monkeypatch):
    renamed = model()
    renamed.graph.inputs[0].name = "image"
    for kept in (True, False):
        if not kept:
            monkeypatch.setattr("graphkit.parity.recorder.SMALL", 8)
            record(path)
        with load_baseline(path) as baseline:
            (sample,) = baseline.inputs(renamed)
        assert np.array_equal(sample.given["image"], feeds()["x"])
    assert renamed.graph.inputs[0].name == "image"


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


def test_shapes_that_were_asked_for_are_drawn_again(tmp_path):
    specs = (InputSpec("x", (7, 5)),)
    with Recorder(tmp_path / "b.npz", model(), replace(CONDITIONS, inputs=specs)) as recorder:
        recorder.add(SAMPLE, draw_inputs(model(), 3, None, specs), [side()])
        recorder.save()
    with load_baseline(tmp_path / "b.npz") as baseline:
        assert list(baseline.inputs(model())) == [SAMPLE]


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
