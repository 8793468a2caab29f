"""What ``--feed`` names: arrays, JSON, pictures, alone and together."""

from __future__ import annotations

import json

import numpy as np
import onnx_ir as ir
import pytest

from graphkit.errors import FeedError, FormatError, InputError
from graphkit.running.feeds import read_feeds
from graphkit.running.pictures import Scaling

ONE = '<ir_version: 10, opset_import: ["": 23]> g (float[batch, 3] x) => (float[batch, 3] y) { y = Relu(x) }'
TWO = """
<ir_version: 10, opset_import: ["": 23]>
g (int64[batch, n] ids, float[batch, n] mask) => (float[batch, n] y) <float[7] table = {0, 1, 2, 3, 4, 5, 6}>
{ found = Gather(table, ids) y = Mul(found, mask) }
"""
X = np.array([[0.1, -2, 3], [4, 5, 6]], np.float32)
IDS = np.array([[1, 2, 3]])
MASK = np.ones((1, 3), np.float32)


def read(texts, text=ONE, warnings=(), **how):
    told: list[str] = []
    feeds, _ = read_feeds([str(each) for each in texts], ir.from_onnx_text(text), told.append, **how)
    assert len(told) == len(warnings), told
    for message, words in zip(told, warnings, strict=True):
        assert words in message
    return feeds


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    np.save("double.npy", X.astype(np.float64) + 1e-12)
    np.save("ids32.npy", IDS.astype(np.int32))
    np.savez("both.npz", ids=IDS, mask=MASK)
    np.savez("mask.npz", mask=MASK)
    (tmp_path / "x.json").write_text(json.dumps(X.tolist()))
    (tmp_path / "ids.json").write_text("[[1, 2, 3]]")
    (tmp_path / "both.json").write_text('{"ids": [[1, 2, 3]], "mask": [[1, 1.0, 1]]}')
    return tmp_path


@pytest.mark.parametrize("text", ["x=x.npy", "x.npy", "x=x.json", "x.json"])
def test_the_only_input_needs_no_name(text):
    found = read([text])
    assert found["x"].dtype == np.float32
    np.testing.assert_array_equal(found["x"], X)


@pytest.mark.parametrize(
    "texts", [["both.npz"], ["both.json"], ["ids=ids.json", "mask.npz"], ["ids=ids32.npy", "mask.npz"]]
)
def test_files_for_several_inputs_come_together(texts):
    found = read(texts, TWO)
    assert {name: array.dtype.name for name, array in found.items()} == {"ids": "int64", "mask": "float32"}
    np.testing.assert_array_equal(found["ids"], IDS)
    np.testing.assert_array_equal(found["mask"], MASK)


def test_float64_arrays_are_rounded_with_a_warning_and_json_without(files):
    found = read(["x=double.npy"], warnings=["is float64 and was rounded to float32"])
    np.testing.assert_array_equal(found["x"], X)
    (files / "tenth.json").write_text("[[0.1, 0.2, 0.3]]")
    np.testing.assert_array_equal(read(["x=tenth.json"])["x"], np.array([[0.1, 0.2, 0.3]], np.float32))


@pytest.mark.parametrize(
    ("content", "error", "says"),
    [
        ("[[1, 2", FormatError, "x2.json is no JSON"),
        ("[[1, 2, 3], [4]]", FormatError, "lists of several lengths"),
        ("[[1, 2, [3]]]", FormatError, "lists of several lengths or depths"),
        ('[["a", "b", "c"]]', FeedError, "which is no number"),
        ("[[1, 2]]", FeedError, "shape 1×2, the model asks for batch×3"),
        ("[[1e300, 0, 0]]", FeedError, "too narrow for 1e\\+300"),
        ("[[null, 0, 0]]", FeedError, "Python objects"),
        ('{"y": [[1, 2, 3]]}', FeedError, "the model has no input 'y'"),
        ("[" * 3000 + "]" * 3000, FormatError, "no JSON|several lengths|shape"),
    ],
)
def test_json_that_does_not_fit(files, content, error, says):
    (files / "x2.json").write_text(content)
    with pytest.raises(error, match=says):
        read(["x=x2.json" if content[0] == "[" else "x2.json"])


def test_numbers_that_an_integer_input_does_not_hold(files):
    (files / "half.json").write_text("[[1, 2.5, 3]]")
    with pytest.raises(FeedError, match=r"2\.5 among the float64 given is no whole number"):
        read(["ids=half.json", "mask.npz"], TWO)


@pytest.mark.parametrize(
    ("texts", "error", "says"),
    [
        (["gone.npy"], InputError, "'gone.npy' is no file that is there"),
        (["x=gone.npy"], InputError, "feeds input 'x' the file 'gone.npy', which is not there"),
        (["z=x.npy"], FeedError, "no input 'z'"),
        (["x=x.npy", "x.json"], InputError, "'x' is given two arrays"),
        (["x=both.npz"], InputError, r"holds arrays by name: give it as both\.npz"),
        (["x=both.json"], InputError, r"holds numbers by name: give it as both\.json"),
        (["x=notes.txt"], InputError, r"notes\.txt is no file that graphkit reads feeds from"),
        ([], FeedError, "there is nothing for 'x'"),
    ],
)
def test_feeds_that_are_none(files, texts, error, says):
    (files / "notes.txt").write_text("hello")
    with pytest.raises(error, match=says):
        read(texts)


def test_one_of_several_inputs_has_to_be_named():
    with pytest.raises(InputError, match=r"say for which, as NAME=x\.npy. The inputs are 'ids', 'mask'"):
        read(["x.npy"], TWO)
    with pytest.raises(FeedError, match="there is nothing for 'ids'"):
        read(["mask.npz"], TWO)


def test_a_name_may_have_an_equals_sign():
    found = read(["a=b=x.npy"], ONE.replace(" x)", ' "a=b")').replace("(x)", '("a=b")'))
    np.testing.assert_array_equal(found["a=b"], X)


def test_scaling_without_a_picture_says_nothing():
    with pytest.raises(InputError, match="--mean and --std scale pictures, and none is given"):
        read(["x.npy"], scaling=Scaling((0.5,)))


def test_a_picture_and_an_array(files):
    image = pytest.importorskip("PIL.Image")
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    image.fromarray(pixels).save("p.png")
    text = """
    <ir_version: 10, opset_import: ["": 23]>
    g (float[batch, 3, 4, 4] image, float[1] scale) => (float[batch, 3, 4, 4] y) { y = Mul(image, scale) }
    """
    (files / "scale.json").write_text("[2]")
    found = read(["image=p.png", "scale=scale.json"], text)
    np.testing.assert_allclose(found["image"][0], pixels.transpose(2, 0, 1) / 255, atol=1e-7)
    assert found["scale"].dtype == np.float32
    with pytest.raises(InputError, match="an array and a picture"):
        read(["image=p.png", "image=x.npy", "scale=scale.json"], text)


def test_a_model_without_inputs_is_fed_nothing():
    constant = '<ir_version: 10, opset_import: ["": 23]> g () => (float[2] y) { y = Constant<value_floats = [1, 2]>() }'
    assert read([], constant) == {}
    for text in ("x.npy", "x=x.npy"):
        with pytest.raises(FeedError, match=r"the model has none|no input 'x'"):
            read([text], constant)
