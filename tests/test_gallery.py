"""The gallery's networks convert and compute and train the same, and its page shows them all.

``tools/zoo gallery`` proves every cell; here is one of each domain and of each direction.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from html import unescape
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("transformers", reason="the networks are of the transformers library, some of them")

from gallery.entries import DOMAINS, ENTRIES, FRAMEWORKS, cells
from gallery.page import DIRECTIONS, LARGEST, PAGE, PICTURES, command, line
from gallery.proving import load, prove
from pages.blocks import parse
from realmxnet import mxnet

import graphkit

if TYPE_CHECKING:
    from pathlib import Path

PROVED = {
    ("yolo-onnx", "mxnet"),
    ("fcn-mxnet", "torch"),
    ("espcn-onnx", "torch"),
    ("textcnn-mxnet", "onnx"),
    ("seq2seq-mxnet", "torch"),
    ("lstm-mxnet", "onnx"),
    ("quartznet-onnx", "mxnet"),
    ("wavenet", "mxnet"),
    ("wavenet", "onnx"),
    ("convnext-onnx", "mxnet"),
}
"""Cells that are quick."""


@cache
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.mxnet
@pytest.mark.parametrize(("name", "to"), sorted(PROVED))
def test_a_conversion_computes_and_trains_the_same(name: str, to: str, tmp_path: Path) -> None:
    entry = ENTRIES[name]
    if "mxnet" in (entry.framework, to):
        mxnet()
    proof = prove(entry, load(entry, tmp_path), to, batches=(3,))
    assert proof.passed, [
        f"{c.kind} {c.name}: {c.error:.3g} > {c.tol:.3g}" for c in proof.checks if c.verdict != "pass"
    ]
    assert (proof.worst("loss", "parameter") is not None) or not entry.train
    assert (proof.worst("gradient") or 0) <= (1e-5 if proof.precision == "float32" else 1e-6)


def test_each_domain_and_each_direction_is_proved_here() -> None:
    assert {ENTRIES[name].domain for name, _ in PROVED} == set(DOMAINS)
    assert {(ENTRIES[name].framework, to) for name, to in PROVED} == set(DIRECTIONS)


def test_a_conversion_that_is_refused_is_told_in_the_errors_words(tmp_path: Path) -> None:
    entry = replace(ENTRIES["espcn-onnx"], framework="torch", shapes=("luma:?x1x12x10",))
    model = load(entry, tmp_path)
    (node, *_) = model.graph
    node.op_type = "Unheard"
    proof = prove(entry, model, "mxnet")
    assert not proof.passed
    assert "Unheard" in proof.told
    assert line(entry.domain, {(entry, "mxnet"): proof}).count("refused") == 1


def test_every_domain_has_a_network_for_every_direction() -> None:
    known = {(entry.domain, entry.framework, to) for entry, to in cells()}
    assert known == {(domain, *direction) for domain in DOMAINS for direction in DIRECTIONS}


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_table_of_the_page_has_the_cells_that_there_are(domain: str) -> None:
    (row,) = re.findall(rf"^\| \[{re.escape(DOMAINS[domain])}\]\(#[\w-]+\) \|(.*)\|$", page(), re.MULTILINE)
    shown = [re.findall(r"\[([^]]+)\]\(pictures/gallery-(.+?)\.svg\) ([^<| ]+)", cell) for cell in row.split(" | ")]
    expected = [
        [(entry.title, entry.name) for entry, target in cells() if (entry.domain, entry.framework, target) == at]
        for at in ((domain, *direction) for direction in DIRECTIONS)
    ]
    assert [[found[:2] for found in cell] for cell in shown] == expected
    assert all(float(error) <= 1e-5 for cell in shown for _, _, error in cell)


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_figures_of_a_domain_are_of_its_conversions(domain: str) -> None:
    (block,) = [one for one in parse(PAGE).blocks if one.content.startswith(f"$ {command(domain)}\n")]
    _, _, *lines, last = block.content.rstrip().splitlines()
    rows = [text for text in lines if not text.startswith("    ")]
    expected = [
        f"{entry.title} {FRAMEWORKS[entry.framework]} {FRAMEWORKS[to]}"
        for entry, to in cells()
        if entry.domain == domain
    ]
    assert all(re.sub(r"\s+", " ", row).startswith(start) for row, start in zip(rows, expected, strict=True))
    assert all(row.endswith("pass") for row in rows)
    assert last.startswith(f"{len(rows)} of {len(rows)} pass.")


@pytest.mark.parametrize("name", ENTRIES)
def test_a_picture_is_there_small_and_of_the_network(name: str) -> None:
    drawn = (PICTURES / f"gallery-{name}.svg").read_text(encoding="utf-8")
    assert len(drawn) <= LARGEST
    assert f">{ENTRIES[name].title}<" in unescape(drawn).replace("\xa0", " ")
    assert f"pictures/gallery-{name}.svg)" in page()


def test_the_gallery_is_imported_from_the_root_of_a_clone() -> None:
    assert graphkit.load("tests.gallery.vision:espcn", inputs=["luma:2x1x12x10"]).graph.outputs
