"""Folders and names that are to make graphkit write, remove or reveal files other than its outputs."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir
import pytest

import graphkit
from attacks.catalogue import attack
from graphkit.errors import GraphkitError, InputError
from graphkit.files import mover, whole, write_whole
from graphkit.frameworks.mxnet import params
from graphkit.frameworks.onnx import write as onnx_writer

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "a file of the user's own"


@pytest.fixture
def precious(tmp_path: Path) -> Path:
    """A file outside the folder that is written to."""
    path = tmp_path / "precious"
    path.write_text(SECRET)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def model(path: Path, name: str = "w", node: str = "n") -> Path:
    weight = ir.tensor(np.ones((300, 4), np.float32), name=name)
    x, y = (
        ir.Value(name=each, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([2, size]))
        for each, size in (("x", 300), ("y", 4))
    )
    made = ir.Value(name=name, const_value=weight, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([300, 4]))
    product = ir.Node("", "MatMul", [x, made], outputs=[y], name=node)
    graph = ir.Graph([x], [y], nodes=[product], initializers=[made], opset_imports={"": 21}, name=name)
    ir.save(ir.Model(graph, ir_version=10), path)
    return path


@attack(
    "Link to a file of the user's in a folder of shards that is written again, under the name of an older shard",
    "the link is removed, the file stays",
)
def test_a_stale_shard_that_is_a_link(tmp_path: Path, out: Path, precious: Path) -> None:
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        (out / name).symlink_to(precious)
    index = {
        "metadata": {"graphkit": "1"},
        "weight_map": {f"w{n}": f"model-0000{n}-of-00002.safetensors" for n in (1, 2)},
    }
    (out / "model.safetensors.index.json").write_text(json.dumps(index))
    graphkit.convert(model(tmp_path / "x.onnx"), "torch", out)
    assert precious.read_text() == SECRET
    assert {path.name for path in out.iterdir()} == {"model.py", "model.safetensors"}


@attack(
    "Index of shards that names files elsewhere (../precious, /etc/passwd) as those to replace",
    "nothing but shards beside the index is removed",
)
def test_an_index_that_names_files_elsewhere(tmp_path: Path, out: Path, precious: Path) -> None:
    names = ["../precious", str(precious), "model-00001-of-00002.safetensors/../../precious", "..", "", "model.py\0"]
    index = {"metadata": {"graphkit": "1"}, "weight_map": {str(number): name for number, name in enumerate(names)}}
    (out / "model.safetensors.index.json").write_text(json.dumps(index))
    (out / "notes.txt").write_text("kept")
    graphkit.convert(model(tmp_path / "x.onnx"), "torch", out)
    assert precious.read_text() == SECRET
    assert {path.name for path in out.iterdir()} == {"model.py", "model.safetensors", "notes.txt"}


@attack(
    "Folder of a stranger's that is converted in place, whose model.py and weights are links to the user's files",
    "the links are replaced, the files stay",
)
@pytest.mark.parametrize("name", ["model.py", "model.safetensors"])
def test_links_in_a_folder_that_is_written(tmp_path: Path, out: Path, precious: Path, name: str) -> None:
    (out / name).symlink_to(precious)
    graphkit.convert(model(tmp_path / "x.onnx"), "torch", out)
    assert precious.read_text() == SECRET
    assert not (out / name).is_symlink()


@attack(
    "Names of parameters, nodes and graphs that are paths (../../precious, /etc/cron.d/x)",
    "names of files come from the user alone; nothing else is written",
)
@pytest.mark.parametrize("name", ["../../precious", "/{}/precious", "..", "con\0", "a/b/c"])
@pytest.mark.parametrize("to", ["onnx", "mxnet", "torch"])
def test_names_that_are_paths(
    tmp_path: Path, out: Path, precious: Path, name: str, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_writer, "INLINE_LIMIT", 2000)
    name = name.format(tmp_path)
    source = model(tmp_path / "x.onnx", name, name)
    try:
        files = graphkit.convert(source, to, out / "net")
    except GraphkitError:
        files = []
    assert all(path.resolve().is_relative_to(out.resolve()) for path in files)
    inside = {path for path in out.rglob("*") if path.is_file()}
    assert inside == set(files)
    assert {path.name for path in tmp_path.iterdir()} == {"out", "precious", "x.onnx"}
    assert precious.read_text() == SECRET


@attack(
    "Link that another user has put under the name of the output into a folder like /tmp",
    "refused, as the system refuses to open it",
)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link another user's")
def test_a_link_of_another_user_in_a_public_folder(out: Path, precious: Path) -> None:
    out.chmod(0o1777)
    (out / "x.svg").symlink_to(precious)
    write_whole(out / "x.svg", SECRET)
    os.lchown(out / "x.svg", 12345, 12345)
    with pytest.raises(InputError, match="a link of another user"):
        write_whole(out / "x.svg", "changed")
    assert precious.read_text() == SECRET


@attack(
    "Both files of an output are links to the same file, so that one overwrites the other",
    "refused",
)
def test_two_outputs_that_are_one_file(tmp_path: Path, out: Path, precious: Path) -> None:
    for name in ("net-symbol.json", "net-0000.params"):
        (out / name).symlink_to(precious)
    with pytest.raises(InputError, match="the same file"):
        graphkit.convert(model(tmp_path / "x.onnx"), "mxnet", out / "net")
    assert precious.read_text() == SECRET


@attack(
    "Device as the output (/dev/null as root), which a file would take the place of",
    "it is written to and stays a device",
)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make devices")
def test_a_device_is_not_replaced(tmp_path: Path, out: Path) -> None:
    device = out / "x.onnx"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except OSError:
        pytest.skip("no devices can be made here")
    graphkit.convert(model(tmp_path / "x.onnx"), "onnx", device)
    assert stat.S_ISCHR(device.lstat().st_mode)
    device.unlink()
    os.mknod(device, 0o666 | stat.S_IFBLK, os.makedev(7, 200))
    with pytest.raises(InputError, match="a device or a socket"):
        graphkit.convert(model(tmp_path / "x.onnx"), "onnx", device)


@attack(
    "Hidden folder as graphkit makes them, planted with links to the user's files and with files to be put into place",
    "nothing in it is moved anywhere, no link is followed",
)
def test_planted_rooms(out: Path, precious: Path) -> None:
    linked = out / f".graphkit-{1:016x}"
    linked.symlink_to(precious.parent)
    rooms = [out / f".graphkit-{number:016x}" for number in (2, 3)]
    for room in rooms:
        for part in (mover.NEW, mover.OLD):
            (room / part).mkdir(parents=True)
        (room / mover.NEW / "x.onnx").symlink_to(precious)
        (room / mover.NEW / ".bashrc").write_text("evil")
    (rooms[1] / mover.OLD / "x.onnx").symlink_to(precious)
    (rooms[1] / mover.OLD / ".profile").write_text("evil")
    for room in rooms:
        os.utime(room, (time.time() - 7200, time.time() - 7200))
    with whole(out / "x.onnx") as (draft,):
        draft.write_text("new")
    assert precious.read_text() == SECRET
    visible = {path.name for path in out.iterdir() if path not in (linked, *rooms)}
    assert visible == {"x.onnx"}


@attack(
    "Looking into a draft of what replaces a file that only its owner may read, while it is written",
    "drafts lie in a folder that others cannot enter, and the file keeps its permissions",
)
def test_a_secret_model_that_is_replaced(out: Path) -> None:
    target = out / "x.params"
    params.write(target, {"w": np.zeros(3, np.float32)})
    target.chmod(0o600)
    seen = []

    def looking(_message: str) -> None:
        seen.extend(stat.S_IMODE(path.stat().st_mode) for path in out.iterdir() if path.is_dir())

    with whole(target) as (draft,):
        looking("")
        draft.write_text("secret")
    assert seen == [0o700]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@attack(
    "Process that holds the lock of the output's folder for ever",
    "it is waited for ten seconds, then files are moved without",
)
def test_a_lock_that_is_never_given_away(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mover, "PATIENCE", 0.2)
    monkeypatch.setattr(sys, "executable", "")
    descriptor = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        start = time.monotonic()
        write_whole(out / "x.svg", "new")
        assert time.monotonic() - start < 5
    finally:
        os.close(descriptor)
    assert (out / "x.svg").read_text() == "new"


@attack(
    "Model whose weights lie in the file that the weights of the output would go to",
    "refused: the source would be left without weights",
)
def test_an_output_that_takes_the_weights_of_its_source(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_writer, "INLINE_LIMIT", 2000)
    graphkit.convert(model(tmp_path / "x.onnx"), "onnx", out / "y.onnx")
    (out / "y.onnx").rename(out / "z.onnx")
    before = (out / "y.onnx.data").read_bytes()
    with pytest.raises(InputError, match="holds those of the source"):
        graphkit.convert(out / "z.onnx", "onnx", out / "y.onnx")
    assert (out / "y.onnx.data").read_bytes() == before


@attack(
    "Output that a link leads out of the folder, /etc/passwd say, for a user who may not write there",
    "refused before anything is written",
)
def test_a_link_to_a_file_of_the_system(out: Path, precious: Path) -> None:
    precious.chmod(0o444)
    (out / "x.svg").symlink_to(precious)
    child = os.fork()
    if not child:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            write_whole(out / "x.svg", "changed")
        except InputError:
            os._exit(3)
        finally:
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
    assert precious.read_text() == SECRET
