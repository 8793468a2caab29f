"""Real data: every form that they are given in, what is converted, and what is refused."""

from __future__ import annotations

import collections
import sys
import warnings

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from realmxnet import mxnet

from graphkit.errors import FeedError, FormatError, InputError, MissingError
from graphkit.ir.origin import Source, set_source
from graphkit.parity.data import given_data, read_data

ONE = (
    '<ir_version: 10, opset_import: ["": 23]> g (float[batch, 3, 4, 5] x) => (float[batch, 3, 4, 5] y) { y = Relu(x) }'
)
TWO = """
<ir_version: 10, opset_import: ["": 23]>
g (int64[batch, n] ids, float[batch, n] mask) => (float[batch, n] y) <float[7] table = {0, 1, 2, 3, 4, 5, 6}>
{ found = Gather(table, ids) y = Mul(found, mask) }
"""
X = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5) / 7
IDS = np.array([[1, 2, 3], [4, 5, 6]])
MASK = np.ones((2, 3), np.float32)


def one(dtype: str = "float") -> ir.Model:
    return ir.from_onnx_text(ONE.replace("float", dtype))


def two() -> ir.Model:
    return ir.from_onnx_text(TWO)


def feed(texts, model, expected_warnings=()):
    told: list[str] = []
    found = list(read_data([str(text) for text in texts], model, told.append))
    assert len(told) == len(expected_warnings), told
    for message, words in zip(told, expected_warnings, strict=True):
        assert words in message
    return found


def given(data, model, expected_warnings=()):
    told: list[str] = []
    found = list(given_data(data, model, told.append))
    assert len(told) == len(expected_warnings), told
    for message, words in zip(told, expected_warnings, strict=True):
        assert words in message
    return found


def refused(data, model, words, error=InputError):
    with pytest.raises(error, match=words) as caught:
        given(data, model)
    return str(caught.value)


# Files


def test_an_array_is_given_to_the_input_it_is_named_for(tmp_path):
    np.save(tmp_path / "batch.npy", X)
    (sample,) = feed([f"x={tmp_path}/batch.npy"], one())
    assert sample.label == f"x={tmp_path}/batch.npy"
    assert sample.feeds["x"].dtype == np.float32
    assert np.array_equal(sample.feeds["x"], X)


def test_several_named_arrays_make_one_sample(tmp_path):
    np.save(tmp_path / "a.npy", IDS)
    np.save(tmp_path / "b.npy", MASK)
    (sample,) = feed([f"mask={tmp_path}/b.npy", f"ids={tmp_path}/a.npy"], two())
    assert list(sample.feeds) == ["ids", "mask"]
    assert np.array_equal(sample.feeds["ids"], IDS)


def test_an_archive_is_a_sample_with_arrays_by_input_name(tmp_path):
    np.savez(tmp_path / "batch.npz", ids=IDS, mask=MASK)
    (sample,) = feed([tmp_path / "batch.npz"], two())
    assert sample.label == f"{tmp_path}/batch.npz"
    assert np.array_equal(sample.feeds["mask"], MASK)


def test_compressed_archives_are_read_too(tmp_path):
    np.savez_compressed(tmp_path / "batch.npz", x=X)
    assert np.array_equal(feed([tmp_path / "batch.npz"], one())[0].feeds["x"], X)


def test_a_folder_of_archives_is_a_sample_for_each_in_name_order(tmp_path):
    for name in ("b", "a", "c"):
        np.savez(tmp_path / f"{name}.npz", x=np.full((1, 3, 4, 5), ord(name), np.float32))
    (tmp_path / ".c.npz").write_bytes(b"what a Mac leaves behind")
    (tmp_path / "README.txt").write_text("about the data")
    samples = feed([tmp_path], one())
    assert [sample.label for sample in samples] == [f"{tmp_path}/{name}.npz" for name in "abc"]
    assert [sample.feeds["x"].flat[0] for sample in samples] == list(map(ord, "abc"))


def test_a_folder_of_arrays_is_one_sample(tmp_path):
    np.save(tmp_path / "ids.npy", IDS)
    np.save(tmp_path / "mask.npy", MASK)
    (sample,) = feed([tmp_path], two())
    assert np.array_equal(sample.feeds["ids"], IDS)


def test_samples_of_several_sources_follow_each_other(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "y.npz", x=X[:1])
    samples = feed([f"x={tmp_path}/x.npy", tmp_path / "y.npz"], one())
    assert [len(sample.feeds["x"]) for sample in samples] == [2, 1]


def test_a_sample_is_read_when_it_is_reached(tmp_path):
    np.savez(tmp_path / "a.npz", x=X)
    (tmp_path / "b.npz").write_bytes(b"not yet there")
    samples = read_data([str(tmp_path)], one())
    assert np.array_equal(next(samples).feeds["x"], X)
    np.savez(tmp_path / "b.npz", x=X[:1])
    assert len(next(samples).feeds["x"]) == 1


def test_a_file_whose_path_has_an_equals_sign_is_a_file(tmp_path):
    (tmp_path / "run=3").mkdir()
    np.savez(tmp_path / "run=3" / "x.npz", x=X)
    np.save(tmp_path / "run=3" / "x.npy", X)
    assert len(feed([tmp_path / "run=3" / "x.npz", f"x={tmp_path}/run=3/x.npy"], one())) == 2


def test_an_input_whose_name_has_an_equals_sign_is_found(tmp_path):
    model = one()
    model.graph.inputs[0].name = "x=1"
    np.save(tmp_path / "a.npy", X)
    assert list(feed([f"x=1={tmp_path}/a.npy"], model)[0].feeds) == ["x=1"]


def test_an_input_may_be_called_as_its_source_calls_it(tmp_path):
    model = one()
    set_source(model, Source("mxnet", "net", None, {"x": "data"}))
    np.savez(tmp_path / "a.npz", data=X)
    assert np.array_equal(feed([tmp_path / "a.npz"], model)[0].feeds["x"], X)
    np.savez(tmp_path / "a.npz", data=X, x=X)
    with pytest.raises(FeedError, match="given twice"):
        feed([tmp_path / "a.npz"], model)


def test_bfloat16_is_read_from_the_raw_bytes_that_numpy_saves(tmp_path):
    values = np.array([[1.5, -2.0]], ml_dtypes.bfloat16)
    np.save(tmp_path / "x.npy", values)
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["": 23]> g (bfloat16[n, 2] x) => (bfloat16[n, 2] y) { y = Relu(x) }'
    )
    assert np.array_equal(feed([f"x={tmp_path}/x.npy"], model)[0].feeds["x"], values)
    with pytest.raises(FeedError, match="raw bytes"):
        feed([f"x={tmp_path}/x.npy"], ir.from_onnx_text(ONE.replace("batch, 3, 4, 5", "n, 2")))


# Files that are refused


def wrong_texts(folder):
    np.save(folder / "x.npy", X)
    np.savez(folder / "x.npz", x=X)
    (folder / "empty").mkdir()
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("no data")
    (folder / "both").mkdir()
    np.save(folder / "both" / "x.npy", X)
    np.savez(folder / "both" / "y.npz", x=X)
    (folder / "net.pt").write_bytes(b"PK")
    return {
        "x=nowhere.npy": "no such file",
        "nowhere.npz": "no file or folder that is there",
        f"x={folder}/x.npz": "give it as",
        f"{folder}/x.npy": "for which input",
        f"{folder}/empty": "holds no .npz or .npy",
        f"{folder}/notes": "holds no .npz or .npy",
        f"{folder}/both": "keep one kind",
        f"{folder}/net.pt": "is no .npy or .npz",
        f"z={folder}/x.npy": "no input 'z'",
    }


def test_texts_that_name_no_data_say_what_is_expected(tmp_path):
    for text, words in wrong_texts(tmp_path).items():
        with pytest.raises(InputError, match=words):
            feed([text], one())


def test_no_texts_or_an_input_given_twice_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(InputError, match="No data"):
        feed([], one())
    with pytest.raises(InputError, match="two arrays"):
        feed([f"x={tmp_path}/x.npy"] * 2, one())


def test_texts_are_refused_before_a_sample_is_read(tmp_path):
    np.savez(tmp_path / "x.npz", x=X)
    with pytest.raises(InputError, match=r"nowhere\.npz"):
        read_data([str(tmp_path / "x.npz"), "nowhere.npz"], one())


def test_pickles_are_not_loaded(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], object), allow_pickle=True)
    np.savez(tmp_path / "x.npz", x=np.array([{"a": 1}], object))
    for text in (f"x={tmp_path}/x.npy", f"{tmp_path}/x.npz"):
        with pytest.raises(FormatError, match="pickled"):
            feed([text], one())


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_files_cut_short_or_changed_are_refused_or_read_as_they_were(tmp_path, name):
    path = tmp_path / name
    np.save(path, X) if name == "x.npy" else np.savez_compressed(path, x=X)
    whole = path.read_bytes()
    text = f"x={path}" if name == "x.npy" else str(path)
    for size in (0, 1, 6, 10, 60, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match="cannot be read"):
            feed([text], one())
    for place in range(128 if name == "x.npy" else len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            found = list(read_data([text], one(), lambda _: None))
        except InputError:
            continue
        if name == "x.npz":  # which has a checksum
            assert np.array_equal(found[0].feeds["x"], X)


def test_a_file_of_the_other_kind_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x=X)
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(FormatError, match=r"a\.npy cannot be read"):
        feed([f"x={tmp_path}/a.npy"], one())
    np.save(tmp_path / "b.npy", X)
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    with pytest.raises(FormatError, match=r"b\.npz cannot be read"):
        feed([tmp_path / "b.npz"], one())


def test_an_archive_without_names_says_how_to_give_them(tmp_path):
    np.savez(tmp_path / "x.npz", X)
    with pytest.raises(FeedError, match=r"np.savez\(file, NAME=array\)"):
        feed([tmp_path / "x.npz"], one())


# Python


def test_a_mapping_is_one_sample_and_a_list_holds_several():
    assert len(given({"x": X}, one())) == 1
    samples = given([{"ids": IDS, "mask": MASK}, (IDS[:1], MASK[:1])], two())
    assert [sample.label for sample in samples] == ["data, sample 0", "data, sample 1"]
    assert np.array_equal(samples[1].feeds["ids"], IDS[:1])


class Frame:
    """Something that numpy makes an array of, with a warning of its own."""

    def __array__(self, dtype=None):
        warnings.warn("soon otherwise", DeprecationWarning, stacklevel=2)
        return np.asarray(X, dtype)


def test_anything_that_numpy_makes_an_array_of_will_do():
    for array in (Frame(), np.ma.array(X), memoryview(X)):
        assert given({"x": array}, one())[0].feeds["x"].shape[1:] == (3, 4, 5)


def test_any_mapping_and_any_tuple_will_do():
    Pair = collections.namedtuple("Pair", "first second")  # noqa: PYI024  # users have untyped ones
    samples = given([collections.UserDict(ids=IDS, mask=MASK), Pair(IDS, MASK), [IDS, MASK]], two())
    assert all(np.array_equal(sample.feeds["ids"], IDS) for sample in samples)


def test_an_array_is_a_sample_for_a_sole_input():
    assert np.array_equal(given(X, one())[0].feeds["x"], X)
    assert len(given([X, X[:1]], one())) == 2
    assert np.array_equal(given({"x": X.tolist()}, one())[0].feeds["x"], X)


def test_a_function_that_makes_a_generator_is_called():
    def batches():
        yield {"x": X}
        yield {"x": X[:1]}

    assert len(given(batches, one())) == 2
    assert len(given(batches(), one())) == 2


def test_a_generator_is_asked_for_no_more_than_is_used():
    def endless():
        while True:
            yield X

    samples = given_data(endless(), one())
    assert [next(samples).label for _ in range(3)] == [f"data, sample {index}" for index in range(3)]


def test_python_gives_files_too(tmp_path):
    (tmp_path / "folder").mkdir()
    np.savez(tmp_path / "x.npz", x=X)
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "folder" / "x.npz", x=X)
    assert len(given(tmp_path / "folder", one())) == 1
    assert len(given([f"{tmp_path}/x.npz", f"x={tmp_path}/x.npy"], one())) == 2


def test_torch_tensors_and_loaders_are_welcome():
    torch = pytest.importorskip("torch")
    weight = torch.tensor(X, requires_grad=True)
    assert np.array_equal(given({"x": weight}, one())[0].feeds["x"], X)
    assert np.array_equal(given(weight, one())[0].feeds["x"], X)
    half = given({"x": torch.ones(1, 3, 4, 5, dtype=torch.bfloat16)}, one())[0].feeds["x"]
    assert half.dtype == np.float32
    assert half.sum() == 60
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(IDS), torch.from_numpy(MASK))
    samples = given(torch.utils.data.DataLoader(pairs, batch_size=1), two())
    assert [sample.feeds["ids"].tolist() for sample in samples] == [[[1, 2, 3]], [[4, 5, 6]]]


def test_mxnet_arrays_and_iterators_are_welcome():
    mx = mxnet()
    assert np.array_equal(given({"x": mx.nd.array(X)}, one())[0].feeds["x"], X)
    samples = given(mx.io.NDArrayIter(X, batch_size=1), one())
    assert [sample.feeds["x"].shape[0] for sample in samples] == [1, 1]
    ids, mask = (array.astype(np.float32) for array in (IDS, MASK))
    labelled = given(mx.io.NDArrayIter(ids, mask, batch_size=2), two())
    assert np.array_equal(labelled[0].feeds["ids"], IDS)


def test_data_are_imported_from_a_module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "shopdata.py").write_text(
        "import numpy as np\n"
        "X = np.ones((1, 3, 4, 5), np.float32)\n"
        "batches = [{'x': X}, (X,)]\n"
        "def endless():\n    while True:\n        yield X\n"
        "class Set:\n    def __len__(self): return 2\n"
        "    def __getitem__(self, index):\n"
        "        if index > 1: raise IndexError\n        return {'x': X}\n"
        "async def later(): pass\n"
        "def nothing(): return None\n"
        "def none():\n    return iter(())\n"
        "def broken():\n    yield X\n    raise OSError('disk\\nfull')\n"
        "def needs(path): return []\n"
        "number = 3\n"
    )
    (tmp_path / "shopbroken.py").write_text("1 / 0\n")
    (tmp_path / "shopneeds.py").write_text("import not_installed_anywhere\n")
    try:
        assert len(feed(["shopdata:batches", "shopdata:Set"], one())) == 4
        samples = read_data(["shopdata:endless"], one())
        assert next(samples).label == "shopdata:endless, sample 0"
        for text, words in {
            "shopdata:nothing": "gives None",
            "shopdata:later": "gives an object of type 'coroutine'",
            "shopdata:number": "gives an object of type 'int'",
            "shopdata:none": "no sample",
            "shopdata:broken": "shopdata:broken, sample 1 fails: OSError: disk full",
            "shopdata:needs": r"shopdata:needs\(\) fails: TypeError",
            "shopdata:missing": "no 'missing'",
            "not_there:data": "no module 'not_there'",
            "shopbroken:data": "ZeroDivisionError",
        }.items():
            with pytest.raises(InputError, match=words):
                feed([text], one())
        with pytest.raises(MissingError, match="not_installed_anywhere"):
            feed(["shopneeds:data"], one())
    finally:
        for name in ("shopdata", "shopbroken", "shopneeds"):
            sys.modules.pop(name, None)


def test_what_a_generator_raises_stays_behind_the_error():
    def broken():
        yield X
        raise KeyError("row 7")

    samples = given_data(broken(), one())
    next(samples)
    with pytest.raises(InputError, match=r"sample 1 fails: KeyError: 'row 7'") as caught:
        next(samples)
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([], "gives no sample"),
        (iter(()), "gives no sample"),
        (3, "gives an object of type 'int'"),
        (None, "gives None"),
        ([None], "sample 0 is None"),
        (["x.npy", 3], "sample 0 is an object of type 'str'"),
        ([{"x": None}], "'x' is None, which is no array"),
        ([{"x": "text"}], "is a str, which is no array"),
        ([{"x": [[1.0, 2.0], [3.0]]}], "lists of several lengths|gives no array"),
        ([{"x": np.ma.masked_equal(X, 0)}], "masked"),
        ([{}], "nothing for 'x'"),
        ([()], "0 arrays without names"),
        ([(X, X)], "2 arrays without names"),
        ([{"x": X, "label": X}], "no input 'label'.*Leave what is no input"),
        ([{"X": X}], "nothing for 'x' and the model has no input 'X'"),
        ([{0: X}], "no input 0"),
        ([{"x": X[:0]}], "is empty"),
    ],
)
def test_objects_that_give_no_fitting_samples_are_refused(data, words):
    refused(data, one(), words)


def test_a_near_miss_of_a_name_is_pointed_out():
    refused({"mask": MASK, "idz": IDS}, two(), "Is 'idz' meant to be 'ids'")


# Shapes


def test_free_dimensions_are_free_and_shared_ones_agree():
    assert given({"ids": IDS[:, :2], "mask": MASK[:, :2]}, two())[0].feeds["ids"].shape == (2, 2)
    refused({"ids": IDS, "mask": MASK[:, :2]}, two(), "where n is 3", FeedError)


def test_a_wrong_shape_is_told_with_what_was_probably_forgotten():
    assert "X[None]" not in refused({"x": X[:, :2]}, one(), "has shape 2×2×4×5.*batch×3×4×5", FeedError)
    refused({"x": X[0]}, one(), r"Give 'x' its batch axis: array\[None\]", FeedError)
    refused({"x": X.transpose(0, 2, 3, 1)}, one(), r"array\.transpose\(0, 3, 1, 2\)", FeedError)


def test_layouts_and_byte_orders_do_not_matter():
    for array in (np.asfortranarray(X), X.astype(">f4"), X[::1, ::-1][:, ::-1]):
        found = given({"x": array}, one())[0].feeds["x"]
        assert found.flags.c_contiguous
        assert found.dtype == np.dtype("=f4")
        assert np.array_equal(found, X)


# Element types


def test_double_data_are_rounded_for_a_float_input_and_that_is_told_once():
    doubles = X.astype(np.float64) / 3
    samples = given([{"x": doubles}] * 2, one(), ["sample 0: input 'x' is float64 and was rounded to float32"])
    assert np.array_equal(samples[1].feeds["x"], doubles.astype(np.float32))


def test_what_loses_nothing_is_converted_without_a_word():
    assert given({"x": X.astype(np.float64)}, one())[0].feeds["x"].dtype == np.float32
    assert given({"x": X.astype(np.float16)}, one())[0].feeds["x"].dtype == np.float32
    found = given({"ids": IDS.astype(np.uint8), "mask": MASK}, two())[0].feeds["ids"]
    assert found.dtype == np.int64
    assert np.array_equal(given({"ids": IDS.astype(np.float64), "mask": MASK}, two())[0].feeds["ids"], IDS)


def test_numbers_that_an_element_type_cannot_hold_are_refused():
    refused({"x": np.full(X.shape, 1e300)}, one(), "too narrow for 1e[+]300", FeedError)
    refused({"ids": IDS + 0.5, "mask": MASK}, two(), "1.5 among the float64 given is no whole number", FeedError)
    refused({"ids": np.where(IDS == 1, np.nan, 1), "mask": MASK}, two(), "nan among", FeedError)
    refused({"ids": IDS.astype(np.uint64) + np.uint64(2**63), "mask": MASK}, two(), "9223372036854775814", FeedError)
    refused({"x": np.full(X.shape, 2**24 + 1)}, one(), "does not hold all the int64 given exactly", FeedError)
    refused({"x": np.full(X.shape, 2**63 - 1)}, one(), "does not hold all", FeedError)
    refused({"x": X + 1j}, one(), "complex numbers were given", FeedError)
    refused({"x": np.full(X.shape, "a")}, one(), "is no number", FeedError)
    refused({"x": np.zeros(X.shape, "M8[s]")}, one(), "is no number", FeedError)


def test_images_in_bytes_are_not_taken_for_floats():
    told = refused({"x": X.astype(np.uint8)}, one(), "as images are stored", FeedError)
    assert "(array / 255).astype(np.float32)" in told


def test_wider_integers_for_a_float_input_are_converted_and_told():
    found = given({"x": X.astype(np.int32)}, one(), ["is int32 and was converted to float32"])
    assert np.array_equal(found[0].feeds["x"], X.astype(np.int32))


def test_integers_for_an_index_that_is_a_float_are_what_it_wants():
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["": 23]> g (float[n] x) => (float[n] y) <float[7] t = {0,1,2,3,4,5,6}>'
        "{ i = Cast<to=7>(x) y = Gather(t, i) }"
    )
    for dtype in (np.int64, np.uint8):
        assert given({"x": np.array([1, 5], dtype)}, model)[0].feeds["x"].dtype == np.float32


def test_booleans_are_booleans_or_zeros_and_ones():
    model = ir.from_onnx_text('<ir_version: 10, opset_import: ["": 23]> g (bool[n] x) => (bool[n] y) { y = Not(x) }')
    for array in (np.array([True, False]), np.array([1, 0]), np.array([1.0, 0.0])):
        found = given({"x": array}, model)[0].feeds["x"]
        assert found.dtype == bool
        assert found.tolist() == [True, False]
    refused({"x": np.array([2, 0])}, model, "2 does not fit", FeedError)
    assert given({"ids": np.array([[True]]), "mask": MASK[:1, :1]}, two())[0].feeds["ids"].tolist() == [[1]]


def test_small_integers_fit_where_they_fit():
    text = '<ir_version: 10, opset_import: ["": 23]> g ({} [n] x) => ({} [n] y) {{ y = Identity(x) }}'
    int8 = ir.from_onnx_text(text.format("int8", "int8"))
    assert given({"x": np.array([-128, 127])}, int8)[0].feeds["x"].dtype == np.int8
    refused({"x": np.array([128])}, int8, "128 does not fit", FeedError)
    int4 = ir.from_onnx_text(text.format("int4", "int4"))
    assert given({"x": np.array([-8, 7])}, int4)[0].feeds["x"].dtype == ml_dtypes.int4
    refused({"x": np.array([8])}, int4, "8 does not fit", FeedError)


def test_text_is_for_inputs_that_hold_text():
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["": 23]> g (string[n] x) => (string[n] y) { y = Identity(x) }'
    )
    assert given({"x": ["a", "b"]}, model)[0].feeds["x"].tolist() == ["a", "b"]
    refused({"x": np.array([1, 2])}, model, "holds text", FeedError)


def test_numbers_that_are_not_finite_are_told_once():
    odd = X.copy()
    odd.flat[:2] = np.nan, np.inf
    samples = given([{"x": odd}] * 2, one(), ["2 of the 120 numbers for input 'x' are NaN or infinite"])
    assert np.array_equal(samples[0].feeds["x"], odd, equal_nan=True)


def test_sequences_are_lists_of_arrays():
    model = one()
    value = ir.Value(name="s", type=ir.SequenceType(ir.TensorType(ir.DataType.FLOAT)))
    model.graph.inputs.append(value)
    found = given({"x": X, "s": [np.ones(2), np.zeros((1, 2))]}, model)[0].feeds["s"]
    assert [array.dtype for array in found] == [np.float32, np.float32]
    refused({"x": X, "s": X}, model, "give a list of arrays", FeedError)


def test_without_a_listener_python_warns():
    with pytest.warns(UserWarning, match="rounded to float32"):
        list(given_data({"x": X.astype(np.float64) / 3}, one()))
