"""Pictures as files."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import onnx_ir as ir
import pytest
from drawn import HOSTILE, block, branches, hostile

from graphkit.cli import main
from graphkit.errors import ExecutionError, InputError, MissingError
from graphkit.ir.origin import Source, set_source
from graphkit.ir.view import nx_view
from graphkit.render import FORMATS, TENSORBOARD, picture, render
from graphkit.render.engine import lay_out

SVG = "{http://www.w3.org/2000/svg}"


def text_of(svg: bytes) -> set[str]:
    return {(node.text or "").strip() for node in ET.fromstring(svg).iter(f"{SVG}text")}


def test_svg_is_xml_that_holds_the_words():
    found = text_of(picture(block(), "svg"))
    assert {"Conv", "BatchNormalization", "weight 4×4×3×3", "N×4×8×8", "body", "image"} <= found


def test_svg_has_a_group_for_every_box_arrow_and_frame():
    root = ET.fromstring(picture(block(), "svg"))
    kinds = [group.get("class") for group in root.iter(f"{SVG}g")]
    assert [kinds.count(kind) for kind in ("node", "edge", "cluster")] == [10, 10, 2]


def test_svg_tells_the_rest_in_tooltips():
    root = ET.fromstring(picture(block(), "svg"))
    tips = {link.get("{http://www.w3.org/1999/xlink}title", "") for link in root.iter(f"{SVG}a")}
    assert any("from torch aten.conv" in tip and "nets.py:7" in tip for tip in tips)


@pytest.mark.parametrize("make", [hostile, branches])
def test_svg_of_anything_is_xml(make):
    assert ET.fromstring(picture(make(), "svg", title=HOSTILE)).tag == f"{SVG}svg"


def test_png_is_a_picture_of_some_size():
    data = picture(block(), "png")
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    assert 200 < width < 2000
    assert 400 < height < 4000


def test_pdf_is_one():
    assert picture(block(), "pdf").startswith(b"%PDF-1.")


@pytest.mark.parametrize("form", [form for form in FORMATS if form != "pdf"])
def test_the_same_model_gives_the_same_bytes(form):
    assert picture(block(), form) == picture(block(), form)


def test_a_view_may_be_drawn_too():
    assert picture(nx_view(block()), "dot") == picture(block(), "dot")


def test_a_picture_is_named_after_its_source():
    model = block()
    set_source(model, Source("onnx", "net.onnx", None))
    assert 'title: "net.onnx — 8 operators' in picture(model, "mmd").decode()


def test_the_suffix_names_the_format(tmp_path):
    for form in FORMATS:
        assert render(block(), tmp_path / f"x.{form.upper()}").stat().st_size > 500
    assert len(list(tmp_path.iterdir())) == len(FORMATS)


@pytest.mark.parametrize("name", ["x.gif", "x", "x.svg.gz"])
def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path, name):
    with pytest.raises(InputError, match=r"give it one of \.dot, \.svg, \.png, \.pdf, \.mmd"):
        render(block(), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [{"direction": "BT"}, {"depth": -1}, {"form": "gif"}])
def test_options_are_checked(wrong):
    with pytest.raises(InputError):
        picture(block(), **{"form": "dot", **wrong})


def test_a_missing_folder_is_told(tmp_path):
    with pytest.raises(InputError, match="folder does not exist"):
        render(block(), tmp_path / "gone" / "x.svg")


def test_a_failed_drawing_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "x.svg"
    target.write_text("old")
    dot = importlib.import_module("graphkit.render.dot")
    monkeypatch.setattr(dot, "to_dot", lambda *_args, **_options: "digraph {")
    with pytest.raises(ExecutionError, match="Graphviz could not draw"):
        render(block(), target)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


def test_a_missing_pygraphviz_is_told_with_the_remedy(tmp_path, monkeypatch):
    (tmp_path / "pygraphviz.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(MissingError, match="pip install 'pygraphviz"):
        picture(block(), "svg")
    assert picture(block(), "dot")
    assert picture(block(), "mmd")


def test_a_machine_without_fonts_draws_svg_alone(tmp_path, monkeypatch):
    (tmp_path / "fonts.conf").write_text("<?xml version='1.0'?><fontconfig></fontconfig>")
    monkeypatch.setenv("FONTCONFIG_FILE", str(tmp_path / "fonts.conf"))
    with pytest.raises(MissingError, match="fonts-dejavu-core"):
        picture(block(), "png")
    root = ET.fromstring(picture(block(), "svg"))
    (conv,) = [group for group in root.iter(f"{SVG}g") if group.findtext(f"{SVG}title") == "n1"]
    lines = sorted({float(text.get("y", 0)) for text in conv.iter(f"{SVG}text")})
    assert len(lines) == 5
    assert min(below - above for above, below in pairwise(lines)) > 9


def test_huge_pictures_get_a_lower_resolution():
    """100 inches square would be 92 million pixels."""
    data = lay_out('digraph { x [shape=box, width=100, height=100, fixedsize=true, label="x"] }', "png")
    width, height = struct.unpack(">II", data[16:24])
    assert width * height < 85_000_000


def test_drawing_is_imported_when_it_is_needed():
    code = "import sys; import graphkit.render; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"networkx", "pygraphviz", "numpy", "onnx_ir", "onnx"} & set(done.stdout.split())


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Run the command line in a folder with ``net.onnx``; gives (status, stdout, stderr)."""
    ir.save(branches(), tmp_path / "net.onnx")
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as left:
            main(arguments)
        logging.disable(logging.NOTSET)
        return left.value.code, *capfd.readouterr()

    return run


def test_the_command_says_what_it_wrote(run, tmp_path):
    status, out, err = run("render", "net.onnx", "-o", "net.svg", "--direction", "lr")
    size = (tmp_path / "net.svg").stat().st_size / 1000
    assert (status, out, err) == (0, f"Wrote net.svg ({size:.1f} kB).\n", "")
    assert "net.onnx" in text_of((tmp_path / "net.svg").read_bytes())


def test_the_command_refuses_a_suffix_before_it_reads(run):
    status, _, err = run("render", "gone.onnx", "-o", "net.gif")
    assert status == 2
    assert ".mmd" in err
    assert "gone" not in err


def test_the_command_folds_and_titles(run, tmp_path):
    assert run("render", "net.onnx", "-o", "net.mmd", "--depth", "0", "--title", "My net")[0] == 0
    assert 'title: "My net' in (tmp_path / "net.mmd").read_text()


def test_other_processes_give_the_same_bytes():
    """Hashes of strings, and so the order of sets, differ between these."""
    forms = [form for form in FORMATS if form not in ("pdf", "png")]
    forms += [TENSORBOARD] if importlib.util.find_spec("tensorboard") else []
    code = (
        "import hashlib; from drawn import block; from graphkit.render import picture; "
        "from graphkit.passes.gradient.model import gradient_model; model = gradient_model(block()); "
        "marked = dict(around=['body'], hops=1); "
        f"print(*(hashlib.sha256(picture(model, form, **marked)).hexdigest() for form in {forms}))"
    )
    path = str(Path(__file__).parents[1])
    told = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        told.append(dict(zip(forms, done.stdout.split(), strict=True)))
    assert told[0] == told[1]
