"""Parameter files are those of the real MXNet, and a damaged one is never taken for a good one."""

from __future__ import annotations

import contextlib
import io
import itertools
import mmap
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paths import REAL_MODELS
from realmxnet import mxnet

from graphkit.errors import FormatError, InputError, LimitError
from graphkit.files import arrays
from graphkit.frameworks.mxnet import params
from graphkit.frameworks.mxnet.arrays import Csr, ParamsFile, Record, RowSparse, dense

DTYPES = ["float32", "float64", "float16", "uint8", "int32", "int8", "int64", "bool", "bfloat16"]
PUBLISHED = sorted(REAL_MODELS.glob("*/*.params")) if REAL_MODELS else []
HEAD = struct.pack("<QQ", 0x112, 0)


def _array(dtype, shape=(2, 3)):
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    return (np.random.default_rng(0).uniform(-9, 9, shape) % 7).astype(kind)


def _rewritten(path):
    copy = path.with_name("copy.params")
    params.write(copy, params.read(path))
    return copy.read_bytes()


def _same(ours, theirs):
    """Whether an array that we read equals one of MXNet's, bit by bit."""
    if theirs.dtype.names == ("bfloat16",):
        theirs = theirs["bfloat16"].view(ml_dtypes.bfloat16)
    return ours.dtype == theirs.dtype and ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()


def _mx_array(array):
    mx = mxnet()
    if array.dtype == ml_dtypes.bfloat16:
        return mx.nd.amp_cast(mx.nd.array(array.astype(np.float32)), dtype="bfloat16")
    return mx.nd.array(array, dtype=array.dtype)


class TestAgainstMxnet:
    pytestmark = pytest.mark.mxnet

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_a_file_of_mxnet_is_read_and_written_back_byte_for_byte(self, tmp_path, dtype):
        arrays = {f"w{rank}": _array(dtype, (2, 1, 3)[:rank]) for rank in (1, 2, 3)}
        mxnet().nd.save(str(tmp_path / "a"), {name: _mx_array(array) for name, array in arrays.items()})
        file = params.read(tmp_path / "a")
        assert file.names == list(arrays)
        assert all(_same(value, arrays[name]) for name, value in file.items())
        assert _rewritten(tmp_path / "a") == (tmp_path / "a").read_bytes()

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_a_mapping_is_written_as_mxnet_writes_it(self, tmp_path, dtype):
        arrays = {"arg:a": _array(dtype), "aux:é": _array(dtype, (4,))}
        mxnet().nd.save(str(tmp_path / "theirs"), {name: _mx_array(array) for name, array in arrays.items()})
        params.write(tmp_path / "ours", arrays)
        assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()

    @pytest.mark.parametrize("dtype", ["float32", "float16", "int64"])
    @pytest.mark.parametrize("stype", ["row_sparse", "csr"])
    def test_sparse_arrays_survive(self, tmp_path, stype, dtype):
        mx = mxnet()
        full = np.diag([1, 0, 3, 0]).astype(dtype)[:, :3]
        file = {
            "some": mx.nd.array(full, dtype=dtype).tostype(stype),
            "none": mx.nd.sparse.zeros(stype, (4, 3), dtype=dtype),
        }
        for array in file.values():
            array.wait_to_read()  # MXNet writes the stored shape before it waits for the array
        mx.nd.save(str(tmp_path / "a"), file)
        read = dict(params.read(tmp_path / "a").items())
        assert isinstance(read["some"], RowSparse if stype == "row_sparse" else Csr)
        assert _same(dense(read["some"]), full)
        assert _same(dense(read["none"]), np.zeros_like(full))
        assert _rewritten(tmp_path / "a") == (tmp_path / "a").read_bytes()

    @pytest.mark.parametrize("content", [[], {}, ["one", "two"]])
    def test_lists_without_names_survive(self, tmp_path, content):
        arrays = [_mx_array(_array("float32"))] * len(content)
        mxnet().nd.save(str(tmp_path / "a"), arrays if isinstance(content, list) else {})
        file = params.read(tmp_path / "a")
        assert (file.names, len(file.records)) == (None, len(content))
        assert _rewritten(tmp_path / "a") == (tmp_path / "a").read_bytes()

    def test_files_under_numpy_semantics_survive(self, tmp_path):
        mx = mxnet()
        arrays = {"scalar": np.float32(3).reshape(()), "empty": np.zeros((0, 3), np.float32), "plain": _array("int32")}
        with mx.util.np_shape(True), mx.util.np_array(True):
            mx.npx.save(str(tmp_path / "a"), {k: mx.np.array(v, dtype=v.dtype) for k, v in arrays.items()})
        file = params.read(tmp_path / "a")
        assert {record.version for record in file.records} == {3}
        assert all(_same(value, arrays[name]) for name, value in file.items())
        assert _rewritten(tmp_path / "a") == (tmp_path / "a").read_bytes()

    @pytest.mark.parametrize("version", [0, 1, 2])
    def test_each_old_version_that_is_written_loads(self, tmp_path, version):
        arrays = {dtype: _array(dtype) for dtype in DTYPES}
        file = ParamsFile([Record(array, version) for array in arrays.values()], list(arrays))
        params.write(tmp_path / "a", file)
        loaded = mxnet().nd.load(str(tmp_path / "a"))
        assert all(_same(arrays[name], value.asnumpy()) for name, value in loaded.items())
        assert _rewritten(tmp_path / "a") == (tmp_path / "a").read_bytes()

    def test_a_scalar_takes_numpy_semantics_and_this_is_said(self, tmp_path):
        mx = mxnet()
        said = []
        params.write(tmp_path / "a", {"w": _array("float32"), "s": np.array(2.0)}, said.append)
        assert len(said) == 1
        assert "'s' is a scalar" in said[0]
        with mx.util.np_shape(True):
            loaded = mx.nd.load(str(tmp_path / "a"))
            assert loaded["s"].shape == ()
            assert loaded["s"].asnumpy() == 2.0

    @pytest.mark.parametrize(
        "array",
        [
            np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
            np.arange(10, dtype=">f8")[::-2],
            np.broadcast_to(np.int8(3), (5, 2)),
            np.zeros((0, 3), np.float32),
            np.asfortranarray(np.eye(3)),
        ],
        ids=["transposed", "big-endian", "broadcast", "empty", "fortran"],
    )
    def test_any_layout_in_memory_is_written_right(self, tmp_path, array):
        params.write(tmp_path / "a", {"w": array})
        (loaded,) = mxnet().nd.load(str(tmp_path / "a")).values()
        assert loaded.shape == array.shape
        assert array.size == 0 or (loaded.asnumpy() == array).all()

    @pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: "-".join(path.parts[-2:]))
    def test_published_files_read_as_mxnet_reads_them(self, path):
        loaded = mxnet().nd.load(str(path))
        loaded = loaded if isinstance(loaded, dict) else {str(i): array for i, array in enumerate(loaded)}
        ours = dict(params.read(path).items())
        assert ours.keys() == loaded.keys()
        assert all(_same(ours[name], array.asnumpy()) for name, array in loaded.items())


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: "-".join(path.parts[-2:]))
def test_published_files_are_written_back_byte_for_byte(tmp_path, path):
    params.write(tmp_path / "copy", params.read(path))
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


def test_arrays_are_views_on_the_file_and_survive_its_replacement(tmp_path):
    path = tmp_path / "a.params"
    params.write(path, {"w": _array("float32")})
    ((_, array),) = params.read(path).items()
    assert isinstance(array.base, mmap.mmap)
    assert not array.flags.writeable
    params.write(path, {"w": array * 2})
    assert _same(array, _array("float32"))
    assert _same(next(params.read(path).items())[1], array * 2)


def test_an_array_of_many_chunks_is_written_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "BLOCK", 100)
    array = _array("float64", (7, 11, 3)).transpose(1, 2, 0)
    params.write(tmp_path / "a", {"w": array})
    assert _same(next(params.read(tmp_path / "a").items())[1], array)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"w": np.zeros(2, np.uint32)}, "Array 'w' .* does not load uint32 arrays; cast it to int64"),
        ({"w": np.zeros(2, np.int16)}, "cast it to int32"),
        ({"w": np.zeros(2, np.complex64)}, "does not load complex64 arrays"),
        ({"w": np.array(["text"])}, "MXNet has no element type"),
        ({"w": np.broadcast_to(np.int8(0), 2**31)}, "at most 2147483647 elements"),
        ({"a\0b": np.zeros(2)}, "cuts a name off at a zero byte"),
        ({"\ud800": np.zeros(2)}, "half of a character"),
        ({"s": np.array(1.0), "w": RowSparse((2, 2), np.arange(1), np.ones((1, 2)))}, "make it dense"),
        (ParamsFile([Record(None)], ["w"]), "'w' .* it has no data"),
        (ParamsFile([Record(np.array(1.0))], ["w"]), "version 2 of the format cannot hold a scalar"),
        (ParamsFile([Record(np.ones(1)), Record(np.ones(1))], ["w", "w"]), "another array has its name"),
    ],
)
def test_what_mxnet_could_not_load_is_not_written(tmp_path, arrays, message):
    with pytest.raises(InputError, match=message):
        params.write(tmp_path / "a", arrays)
    assert list(tmp_path.iterdir()) == []


def _v2(shape, data, dtype=0, stype=0):
    dims = struct.pack(f"<i{len(shape)}q", len(shape), *shape)
    return struct.pack("<Ii", 0xF993FAC9, stype) + dims + struct.pack("<iii", 1, 0, dtype) + data


def _list(*records, names=()):
    body = b"".join(records)
    labels = b"".join(struct.pack("<Q", len(name)) + name for name in names)
    return HEAD + struct.pack("<Q", len(records)) + body + struct.pack("<Q", len(names)) + labels


GOOD = _v2((2,), bytes(8))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an MXNet parameter file: it starts with nothing"),
        (b'{"nodes": []}', "not an MXNet parameter file: it starts with 7b 22"),
        (HEAD, "at byte 16 of 16.* only 0 bytes are left"),
        (HEAD + struct.pack("<Q", 2**60), "1152921504606846976 arrays are announced, more than fit"),
        (_list(GOOD)[:60], r"at byte 56 of 60, in array 1 of 1, the data of shape \(2,\), float32, of 8 bytes"),
        (_list(_v2((2**40, 2**40), b"")), r"the data of shape \(1099511627776, 1099511627776\), float32,"),
        (_list(_v2((0, 2**62, 2**62), b"")), "is impossible"),
        (_list(_v2((2,), bytes(8), dtype=13)), "the element type is 13"),
        (_list(_v2((2,), bytes(8), stype=7)), "the storage type is 7"),
        (_list(_v2((1,) * 33, bytes(4))), "rank 33"),
        (_list(struct.pack("<I", 99)), "starts with 0x00000063, which no MXNet wrote"),
        (_list(GOOD, names=[b"a", b"b"]), "2 names are announced for 1 arrays"),
        (_list(GOOD, GOOD, names=[b"a", b"a"]), "the name 'a' stands again"),
        (_list(GOOD, names=[b"\xff"]), "not UTF-8"),
        (_list(GOOD, names=[b"a"])[:-1], "a name of 1 bytes should follow, but only 0"),
        (_list(GOOD)[:-8] + struct.pack("<QQ", 1, 2**63), "a name of 9223372036854775808 bytes should follow"),
        (_list(GOOD, names=[b"a"]) + b"x", "1 bytes follow, though the file should end here"),
    ],
)
def test_damage_is_told_with_its_place(tmp_path, content, message):
    path = tmp_path / "a.params"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message) as caught:
        params.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [_list(struct.pack("<I", 0)), _list(struct.pack("<IiI", 0xF993FAC9, -1, 0))])
def test_an_array_without_a_shape_is_none(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    assert [record.value for record in params.read(tmp_path / "a").records] == [None]


def test_a_file_that_is_not_there_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        params.read(tmp_path / "none")
    with pytest.raises(InputError, match="Is a directory"):
        params.read(tmp_path)


@pytest.mark.parametrize(
    "sparse",
    [
        RowSparse((3, 2), np.array([3]), np.ones((1, 2))),
        RowSparse((3, 2), np.array([-1]), np.ones((1, 2))),
        Csr((2, 2), np.array([0, 1, 1]), np.array([2]), np.ones(1)),
        Csr((2, 2), np.array([0, 2, 1]), np.array([0]), np.ones(1)),
        Csr((2, 2), np.array([1, 1, 1]), np.array([0]), np.ones(1)),
    ],
)
def test_indices_beyond_a_sparse_array_are_damage(tmp_path, sparse):
    params.write(tmp_path / "a", {"w": sparse})
    with pytest.raises(FormatError, match="damaged sparse array 'w'"):
        params.load_checkpoint_params(tmp_path / "a")


class TestCheckpoints:
    def test_prefixes_say_what_is_an_argument_and_what_a_state(self, tmp_path):
        params.write(tmp_path / "a", {"arg:w": np.ones(1), "aux:m": np.ones(2), "arg:a:b": np.ones(3)})
        args, aux = params.load_checkpoint_params(tmp_path / "a")
        assert (list(args), list(aux)) == (["w", "a:b"], ["m"])

    def test_without_prefixes_the_symbol_says_it(self, tmp_path):
        params.write(tmp_path / "a", {"w": np.ones(1), "m": np.ones(2), "other:x": np.ones(3)})
        args, aux = params.load_checkpoint_params(tmp_path / "a", {"m"})
        assert (list(args), list(aux)) == (["w", "other:x"], ["m"])

    @pytest.mark.parametrize(
        ("file", "message"),
        [
            (ParamsFile([Record(np.ones(1))]), "1 arrays without names"),
            ({"arg:w": np.ones(1), "w": np.ones(1)}, "'w' twice"),
        ],
    )
    def test_what_cannot_be_matched_with_a_symbol_is_refused(self, tmp_path, file, message):
        params.write(tmp_path / "a", file)
        with pytest.raises(FormatError, match=message):
            params.load_checkpoint_params(tmp_path / "a")

    def test_an_empty_list_is_an_empty_checkpoint(self, tmp_path):
        params.write(tmp_path / "a", ParamsFile())
        assert params.load_checkpoint_params(tmp_path / "a") == ({}, {})

    def test_an_array_that_never_got_a_shape_is_named(self, tmp_path):
        (tmp_path / "a").write_bytes(_list(struct.pack("<I", 0), names=[b"arg:w"]))
        with pytest.raises(FormatError, match="no data for 'arg:w'"):
            params.load_checkpoint_params(tmp_path / "a")


NUMPY_ARRAYS = {"arg:w": _array("float32"), "aux:m": _array("int16", (3,)), "s": np.array(2.0), "e": np.zeros((0, 2))}


class TestFilesOfMxnet2:
    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_zip_archives_of_arrays_are_read(self, tmp_path, save):
        with (tmp_path / "a.params").open("wb") as file:
            save(file, f=np.asfortranarray(_array("float64")), **NUMPY_ARRAYS)
        read = dict(params.read(tmp_path / "a.params").items())
        assert read.keys() == {*NUMPY_ARRAYS, "f"}
        assert all(_same(read[name], array) for name, array in NUMPY_ARRAYS.items())
        assert _same(read["f"], _array("float64"))
        assert isinstance(read["arg:w"].base, mmap.mmap if save is np.savez else bytes)

    def test_bfloat16_has_the_spelling_of_mxnet(self, tmp_path):
        array = _array("bfloat16")
        with (tmp_path / "a.params").open("wb") as file:
            np.savez(file, w=array.view(np.dtype([("bfloat16", "<u2")])))
        assert _same(next(params.read(tmp_path / "a.params").items())[1], array)

    def test_a_single_array_has_no_name(self, tmp_path):
        np.save(tmp_path / "a.npy", _array("float32"))
        file = params.read(tmp_path / "a.npy")
        assert file.names is None
        assert _same(file.records[0].value, _array("float32"))

    @pytest.mark.parametrize(
        ("members", "message"),
        [
            ({"archive/data.pkl": b"x"}, "no array"),
            ({"w.npy": b"x" * 20}, "'w' is no array of numpy's format"),
            ({"w/format.npy": b"x"}, "'w' is sparse"),
        ],
    )
    def test_other_archives_are_refused(self, tmp_path, members, message):
        with zipfile.ZipFile(tmp_path / "a.params", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        with pytest.raises(FormatError, match=message):
            params.read(tmp_path / "a.params")

    def test_pickled_objects_are_refused(self, tmp_path):
        np.save(tmp_path / "a.npy", np.array([object()]), allow_pickle=True)
        with pytest.raises(FormatError, match="the header of 'array' makes no sense"):
            params.read(tmp_path / "a.npy")


def _samples():
    sparse = {
        "r": RowSparse((3, 2), np.array([1]), np.ones((1, 2), np.float32)),
        "c": Csr((2, 2), np.array([0, 1, 1]), np.array([1]), np.ones(1)),
    }
    arrays = {dtype: _array(dtype, (2, 2)) for dtype in DTYPES}
    yield {**arrays, **sparse}
    yield {"scalar": np.array(1.0), **arrays}
    for version in (0, 1):
        yield ParamsFile([Record(array, version) for array in arrays.values()], list(arrays))


@pytest.fixture(scope="module")
def good_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("params")
    for i, sample in enumerate(_samples()):
        params.write(folder / str(i), sample)
    numpy_files = [io.BytesIO() for _ in range(3)]
    np.savez(numpy_files[0], w=_array("float32"), v=_array("int8"))
    np.savez_compressed(numpy_files[1], w=_array("float32"))
    np.save(numpy_files[2], _array("float32"))
    return [*(path.read_bytes() for path in sorted(folder.iterdir())), *(file.getvalue() for file in numpy_files)]


SPOILT = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _read_or_refuse(path, content):
    path.write_bytes(content)
    with contextlib.suppress(FormatError, LimitError):
        for record in params.read(path).records:
            if isinstance(record.value, np.ndarray):
                record.value.tobytes()
        args, aux = params.load_checkpoint_params(path)
        for array in itertools.chain(args.values(), aux.values()):
            array.tobytes()


@SPOILT
@given(data=st.data())
def test_a_file_cut_off_anywhere_is_refused(tmp_path, good_files, data):
    good = data.draw(st.sampled_from(good_files))
    (tmp_path / "a").write_bytes(good[: data.draw(st.integers(0, len(good) - 1))])
    with pytest.raises(FormatError):
        params.read(tmp_path / "a")


@SPOILT
@given(data=st.data())
def test_a_file_with_wrong_bytes_is_read_or_refused(tmp_path, good_files, data):
    spoilt = bytearray(data.draw(st.sampled_from(good_files)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(spoilt) - 1))
        spoilt[at] = data.draw(st.sampled_from([0, 1, 2, 127, 128, 255, spoilt[at] ^ 1]))
    _read_or_refuse(tmp_path / "a", bytes(spoilt))


@SPOILT
@given(data=st.data(), stuff=st.binary(min_size=1, max_size=16))
def test_a_file_with_bytes_put_in_or_taken_out_is_read_or_refused(tmp_path, good_files, data, stuff):
    good = data.draw(st.sampled_from(good_files))
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 16)))
    _read_or_refuse(tmp_path / "a", good[:start] + stuff + good[end:])
