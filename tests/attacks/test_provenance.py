"""Attacks on, and by means of, what files say of where they come from."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import struct
import threading
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

import graphkit
from attacks.catalogue import attack
from graphkit import stamps
from graphkit.cli.inspect import COMMAND
from graphkit.errors import InputError
from graphkit.frameworks.mxnet import symbol
from graphkit.inspecting.provenance import history, lines
from graphkit.provenance import KEY, LEVELS, parse


def network(path: Path, records: tuple[str, ...] = (), *, size: int = 3, seed: float = 1) -> Path:
    """An ONNX file that carries records."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [size])],
        [numpy_helper.from_array(np.full(size, seed, np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for text in records:
        model.metadata_props.add(key=KEY, value=text)
    path.write_bytes(model.SerializeToString())
    return path


def record(**changes: object) -> str:
    return json.dumps({"graphkit": "1.0", "source": "trusted.onnx", **changes})


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def told(*arguments: object) -> Result:
    """What ``graphkit inspect`` prints."""
    return CliRunner().invoke(COMMAND, [str(argument) for argument in arguments], standalone_mode=False)


def converted(source: Path, prefix: Path) -> str:
    graphkit.convert(source, "mxnet", prefix)
    return str(symbol.record_in(json.loads(prefix.with_name(f"{prefix.name}-symbol.json").read_bytes())))


@attack(
    "Record whose version, names and options are escape sequences of a terminal, line breaks, text from right to left",
    "shown as signs: one line for each record, nothing reaches the terminal",
)
def test_escape_sequences(tmp_path):
    evil = "\x1b[2J\x1b]0;mine\x07\r\nMade by graphkit 9 from a file that you trust\u202e\u2028\x9b5m"
    text = record(graphkit=evil, source=evil, options={evil: evil}, files=[{"name": evil, "bytes": 1, "sha256": None}])
    found = told("--provenance", network(tmp_path / "net.onnx", (text,)))
    assert found.return_value == 0
    assert all(line.isprintable() for line in found.output.splitlines())
    assert sum(line.startswith("Made by") for line in found.output.splitlines()) == 1


@attack("Record that claims to be made from a trusted file, under its name, without its hash", "told apart, status 1")
def test_false_claim(tmp_path):
    trusted = network(tmp_path / "trusted.onnx")
    files = [{"name": "trusted.onnx", "bytes": trusted.stat().st_size, "sha256": "0" * 64}]
    forged = network(tmp_path / "forged.onnx", (record(files=files),), seed=2)
    found = told("--provenance", forged, "--source", trusted)
    assert found.return_value == 1
    assert "NOT a recorded source" in found.output
    assert "whoever can change the file can change that" in found.output


@attack(
    "Record with names such as ../../secret, looked for in a folder that is given as its source",
    "names with a folder in them are passed over; nothing outside is opened",
)
def test_names_that_leave_the_folder(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    folder = tmp_path / "inner"
    folder.mkdir()
    names = ["../secret", str(secret), "..", "."]
    digest = sha256(secret)
    files = [{"name": name, "bytes": 6, "sha256": digest} for name in names]
    source = network(tmp_path / "net.onnx", (record(files=files),))
    with pytest.raises(InputError, match="has none of the files"):
        history(source, [folder])


@attack("Record of 100,000 records within each other", "not taken for a record; recursion does not grow with it")
def test_nested_records(tmp_path):
    deep = '{"graphkit":"1","source":"x","earlier":' * 20_000 + "null" + "}" * 20_000
    assert parse(deep) is None
    shallow = "null"
    for _ in range(400):
        shallow = f'{{"graphkit":"1","source":"x","earlier":{shallow}}}'
    kept = parse(converted(network(tmp_path / "net.onnx", (shallow,)), tmp_path / "mx"))
    assert kept is not None
    assert len(kept.chain) == LEVELS


@attack(
    "Record of megabytes, to be copied into everything that is made from the file", "left out; what is written is small"
)
def test_large_records(tmp_path):
    large = record(options={"x": "A" * 2_000_000})
    assert len(converted(network(tmp_path / "net.onnx", (large,)), tmp_path / "mx")) < 1000
    many = record(files=[{"name": "n" * 200, "bytes": 1, "sha256": "0" * 64}] * 2500)
    assert len(converted(network(tmp_path / "net.onnx", (many,)), tmp_path / "mx")) < 1000


@attack("Two records in one file, so that tools disagree about its source", "the last one counts, in every reader")
def test_two_records(tmp_path):
    texts = (record(source="first.onnx"), record(source="last.onnx"))
    source = network(tmp_path / "net.onnx", texts)
    shown, copied = history(source).record, parse(converted(source, tmp_path / "mx"))
    assert shown is not None
    assert copied is not None
    assert shown == copied.earlier
    assert shown.source == "last.onnx"


NAMES = [
    '"""\nimport os; os.system("touch owned")\n"""',
    '--><script>alert(1)</script><!--"><script>alert(2)</script>',
    "</metadata><script>alert(3)</script>",
    "\n}\ngraph { evil }\n//",
    "\\u0022\\n# graphkit.record: {}",
    "%%{init: {}}%%\n---\nflowchart TB\n click x call evil()",
]


@attack(
    "File called by markup, scripts, quotes or line breaks that end a comment of what is made from it",
    "escaped in source, SVG, pages, drawings and reports; it stays a name",
)
@pytest.mark.parametrize("name", NAMES)
def test_names_that_end_a_comment(tmp_path, name):
    source = network(tmp_path / (name.replace("/", "∕") + ".onnx"))
    graphkit.convert(source, "torch", tmp_path / "folder")
    written = (tmp_path / "folder" / "model.py").read_text()
    called = {node.func for node in ast.walk(ast.parse(written)) if isinstance(node, ast.Call)}
    assert not any("system" in ast.unparse(function) or "alert" in ast.unparse(function) for function in called)
    tail = written.rpartition("\n# graphkit.record:")[2].splitlines()[1:]
    assert all(line.startswith("#   ") for line in tail)
    kept = parse(stamps.stamp(written.encode(), "py"))
    assert kept is not None
    assert kept.source == source.name
    model = graphkit.look(source)
    pictures = {form: graphkit.render(model, tmp_path / f"net.{form}").read_bytes() for form in ("svg", "html", "dot")}
    assert all(element.tag.rpartition("}")[2] != "script" for element in ET.fromstring(pictures["svg"]).iter())
    assert scripts(pictures["html"].decode()) == scripts(
        graphkit.render(graphkit.look(network(tmp_path / "plain.onnx")), tmp_path / "plain.html").read_text()
    )
    first = pictures["dot"].decode().splitlines()[:2]
    assert first[0].startswith("// graphkit.record: {")
    assert first[1].startswith("digraph")
    for form, content in pictures.items():
        assert parse(stamps.stamp(content, form)) is not None


def scripts(page: str) -> int:
    found = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, _attrs):
            if tag == "script":
                found.append(tag)

    Reader().feed(page)
    return len(found)


@attack(
    "Source exchanged for another file while it is being converted", "the record has the hash of what was converted"
)
def test_source_replaced_while_it_is_converted(tmp_path):
    source = network(tmp_path / "net.onnx", size=100_000)
    before = sha256(source)
    model = graphkit.load(source)
    os.replace(network(tmp_path / "other.onnx", size=100_000, seed=2), source)
    graphkit.save(model, tmp_path / "mx", to="mxnet")
    found = history(tmp_path / "mx-symbol.json", [source]).record
    assert found is not None
    assert found.files[0].sha256 == before
    assert not history(tmp_path / "mx-symbol.json", [source]).matches


@attack(
    "Source overwritten in place again and again while it is being converted",
    "the record has a hash only of bytes that did not change meanwhile",
)
def test_source_changed_while_it_is_hashed(tmp_path):
    source = network(tmp_path / "net.onnx", size=400_000)
    stop = threading.Event()
    content = source.read_bytes()

    def change() -> None:
        number = 0
        with source.open("r+b") as file:
            while not stop.is_set():
                number += 1
                file.seek(len(content) - 400)
                file.write(struct.pack("<f", number) * 50)
                file.flush()
                os.utime(source, ns=(number, number))

    model = graphkit.load(source)
    thread = threading.Thread(target=change)
    thread.start()
    try:
        while source.stat().st_mtime_ns > 10**12:
            pass
        graphkit.save(model, tmp_path / "mx", to="mxnet")
    finally:
        stop.set()
        thread.join()
    found = history(tmp_path / "mx-symbol.json").record
    assert found is not None
    assert found.files[0].sha256 is None
    assert "not known: it was changed while it was used" in "\n".join(lines(history(tmp_path / "mx-symbol.json")))


@attack("Pipe or device in place of a file whose hash is asked for", "refused at once: neither waits nor ends")
@pytest.mark.parametrize("which", ["pipe", "/dev/zero"])
def test_what_never_ends(tmp_path, which):
    os.mkfifo(tmp_path / "pipe")
    path = tmp_path / "pipe" if which == "pipe" else Path(which)
    with pytest.raises(InputError, match="no file whose bytes could be hashed"):
        history(path)
    with pytest.raises(InputError, match="no file whose bytes could be hashed"):
        history(network(tmp_path / "net.onnx"), [path])


@attack(
    "Millions of fields before the metadata of an ONNX file whose provenance is asked for", "it stops looking for more"
)
def test_many_fields(tmp_path):
    path = network(tmp_path / "net.onnx", (record(),))
    onnx.checker.check_model(onnx.load(path))
    assert history(path).record is not None
    path.write_bytes(b"\x08\x08" * 3_000_000 + path.read_bytes())
    assert history(path).record is None
