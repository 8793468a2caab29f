"""Weights in several safetensors files."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import graphkit
from graphkit.errors import FormatError, InputError
from graphkit.frameworks.torch.folder import read_folder
from graphkit.ir.canonical import canonical
from graphkit.ir.params import of_kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

INDEX = "model.safetensors.index.json"
FIRST = "model-00001-of-00003.safetensors"
LIMIT = 4000


def mlp() -> ir.Model:
    """Three layers of 16 × 32 (2048 B), 32 × 33 (4224 B) and 33 × 2 numbers (264 B), with biases."""
    rng = np.random.default_rng(0)
    tensors = [
        ir.tensor(rng.standard_normal(shape).astype(np.float32), name=name)
        for name, shape in {"a": (16, 32), "b": (32,), "c": (32, 33), "d": (33, 2)}.items()
    ]
    text = """<ir_version: 10, opset_import: ["" : 21]> mlp (float[n, 16] x) => (float[n, 2] y)
    { p = MatMul(x, a) q = Add(p, b) r = Relu(q) s = MatMul(r, c) t = Relu(s) y = MatMul(t, d) }"""
    model = ir.from_onnx_text(text, initializers=tensors)
    return canonical(model)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name != "__pycache__"}


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    graphkit.save(mlp(), tmp_path / "net", to="torch", shard_size=LIMIT)
    return tmp_path / "net"


def test_shards_hold_what_their_index_says_and_are_no_larger_than_asked_for(sharded: Path) -> None:
    index = json.loads((sharded / INDEX).read_text())
    found: dict[str, str] = {}
    sizes = {}
    for path in sorted(sharded.glob("model-*.safetensors")):
        with safe_open(path, "pt") as file:
            assert file.metadata()["format"] == "pt"
            found.update(dict.fromkeys(file.keys(), path.name))
        sizes[path.name] = sum(tensor.nbytes for tensor in load_file(path).values())
    assert index["weight_map"] == found
    assert index["metadata"]["total_size"] == sum(sizes.values()) == 4 * (16 * 32 + 32 + 32 * 33 + 66)
    assert len(sizes) == 3
    assert max(sizes.values()) == 4224, "a tensor larger than the limit is alone"
    assert sorted(sizes.values())[1] <= LIMIT


def test_the_header_of_the_source_tells_how_to_load_shards(sharded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = (sharded / "model.py").read_text().split('"""')[1]
    code = "\n".join(line[4:] for line in header.splitlines() if line.startswith("    ") or not line)
    monkeypatch.chdir(sharded)
    monkeypatch.syspath_prepend(str(sharded))
    monkeypatch.delitem(sys.modules, "model", raising=False)
    space: dict[str, Any] = {}
    exec(code, space)
    del sys.modules["model"]
    assert contents(space["net"]) == contents_of(mlp())


def test_shards_are_read_back(sharded: Path) -> None:
    assert contents(read_folder(sharded).module) == contents_of(mlp())


def test_source_that_computes_tensors_of_its_own_is_run(sharded: Path) -> None:
    text = (sharded / "model.py").read_text()
    changed = text.replace(
        "super().__init__()",
        "super().__init__(); import torch; self.register_buffer('m', torch.ones(2).cumsum(0), persistent=False)",
    )
    assert changed != text
    (sharded / "model.py").write_text(changed)
    module = read_folder(sharded).module
    assert contents(module) == contents_of(mlp())
    assert module.m.tolist() == [1, 2]


def contents(module: torch.nn.Module) -> list[bytes]:
    """What a module holds, whatever it is called; matrices in the layout of MatMul."""
    arrays = [tensor.numpy() for tensor in module.state_dict().values()]
    return sorted((array.T if array.ndim == 2 else array).tobytes() for array in arrays)


def contents_of(model: ir.Model) -> list[bytes]:
    return sorted(value.const_value.numpy().tobytes() for value in of_kind(model, "parameter") if value.const_value)


def test_other_shards_replace_older_ones_and_leave_strangers_alone(sharded: Path) -> None:
    (sharded / "mine.safetensors").write_text("mine")
    graphkit.save(mlp(), sharded, to="torch", shard_size="6kB")
    two = {f"model-0000{number}-of-00002.safetensors" for number in (1, 2)}
    assert names(sharded) == {"model.py", INDEX, "mine.safetensors", *two}
    graphkit.save(mlp(), sharded, to="torch")
    assert names(sharded) == {"model.py", "model.safetensors", "mine.safetensors"}
    graphkit.save(mlp(), sharded, to="torch", shard_size=LIMIT)
    assert names(sharded) >= {FIRST, INDEX}
    assert "model.safetensors" not in names(sharded)


def test_shards_of_an_index_that_graphkit_did_not_write_stay(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": {"a": FIRST}}))
    (folder / FIRST).write_text("theirs")
    graphkit.save(mlp(), folder, to="torch")
    assert (folder / FIRST).read_text() == "theirs"


def test_what_fits_into_one_file_has_no_index(tmp_path: Path) -> None:
    graphkit.save(mlp(), tmp_path / "net", to="torch", shard_size="1 MiB")
    assert names(tmp_path / "net") == {"model.py", "model.safetensors"}


def _missing(folder: Path) -> None:
    (folder / FIRST).unlink()


def _outside(folder: Path) -> None:
    (folder.parent / "x").write_bytes((folder / FIRST).read_bytes())
    _mapped(folder, lambda file: "../x" if file == FIRST else file)


def _mapped(folder: Path, change: Callable[[str], Any]) -> None:
    said = json.loads((folder / INDEX).read_text())
    said["weight_map"] = {name: change(file) for name, file in said["weight_map"].items()}
    (folder / INDEX).write_text(json.dumps(said))


def _twice(folder: Path) -> None:
    other = folder / "model-00002-of-00003.safetensors"
    save_file({**load_file(folder / FIRST), **load_file(other)}, other)


def _lacking(folder: Path) -> None:
    save_file({}, folder / FIRST)


def _cut(folder: Path) -> None:
    (folder / FIRST).write_bytes((folder / FIRST).read_bytes()[:-100])


def _no_json(folder: Path) -> None:
    (folder / INDEX).write_text((folder / INDEX).read_text()[:-50])


def _no_object(folder: Path) -> None:
    (folder / INDEX).write_text("[]")


def _no_text(folder: Path) -> None:
    _mapped(folder, lambda _file: 3)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_missing, f"lacks {FIRST} of the 3 files that {INDEX} names"),
        (_outside, "names '../x' for tensor '.*', which is not the name of a file beside it"),
        (_twice, "has the tensor '.*', and .* says it does not lie there"),
        (_lacking, "lacks the tensor '.*', which .* says lies there"),
        (_cut, f"{FIRST} is damaged"),
        (_no_json, f"{INDEX} is damaged"),
        (_no_object, f"{INDEX} is damaged"),
        (_no_text, f"{INDEX} is damaged"),
    ],
)
def test_shards_that_do_not_fit_their_index_are_refused(sharded: Path, damage: Any, message: str) -> None:
    damage(sharded)
    with pytest.raises(FormatError, match=message):
        graphkit.load(sharded)


def test_a_size_that_is_none_and_a_target_without_shards_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'5 apples' is no size"):
        graphkit.save(mlp(), tmp_path / "net", to="torch", shard_size="5 apples")
    with pytest.raises(InputError, match="hold nothing"):
        graphkit.save(mlp(), tmp_path / "net", to="torch", shard_size=0)
    with pytest.raises(InputError, match="'onnx' has none"):
        graphkit.save(mlp(), tmp_path / "net.onnx", to="onnx", shard_size="5GB")
    assert list(tmp_path.iterdir()) == []
