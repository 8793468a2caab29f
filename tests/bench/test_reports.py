"""Reports of a benchmark, of figures that are known."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from rich.console import Console

from graphkit.bench import wording, write
from graphkit.bench.json import to_json
from graphkit.bench.markdown import to_markdown
from graphkit.bench.result import Benchmark, Entry, spread
from graphkit.bench.table import table
from graphkit.bench.write import FORMS, form_of, write_benchmark
from graphkit.errors import InputError, MissingError

HOSTILE = "net<script>alert(1)</script>.onnx"


def entry(name, batch, *milliseconds, **fields):
    status = "measured" if milliseconds else "unavailable"
    told = {"first": 1.5, "peak": 31_400_000, "running": 12_000_000, **fields}
    return Entry(name, name.upper(), batch, status, seconds=tuple(one / 1e3 for one in milliseconds), **told)


FOUND = Benchmark(
    title=f"{HOSTILE}: forward, float32",
    backward=False,
    threads=2,
    rounds=3,
    reference="PyTorch",
    entries=(
        entry("torch", 1, 20, 22, 21),
        entry("ort", 1, 10, 11, 10.5, setup="with <care>", note="in its usual settings it is off"),
        entry("ort-cuda", 1, note="install it"),
        entry("torch", 8, 160, 176, 168),
        entry("ort", 8, 40, 44, 42),
        entry("ort-cuda", 8, note="install it"),
    ),
    environment={"processor": "A processor", "torch": "torch 9"},
    warnings=("Not reliable: the machine was busy.",),
)


def printed(found, width=120):
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(table(found))
    return out.getvalue()


def test_quartiles_are_interpolated():
    found = spread((1.0, 2.0, 3.0, 4.0))
    assert (found.low, found.median, found.high) == (1.75, 2.5, 3.25)
    assert (found.least, found.most, found.relative) == (1.0, 4.0, pytest.approx(0.6))
    assert spread((2.0,)).relative == 0


def test_the_table_has_every_contestant_at_every_batch_size():
    lines = printed(FOUND).splitlines()
    rows = [line.split() for line in lines]
    assert [
        "▸",
        "ort*",
        "10.5",
        "10.2",
        "–",
        "10.8",
        "95.2",
        "2.00×",
        "(2.00",
        "to",
        "2.00)",
        "1.50",
        "s",
        "31.4",
        "MB",
    ] in rows
    assert ["torch", "21.0", "20.5", "–", "21.5", "47.6", "1.50", "s", "31.4", "MB"] in rows
    assert ["ort-cuda", "not", "available"] in rows
    assert "batch 1: ort is fastest, 2.00× the speed of torch" in lines
    assert "batch 8: ort is fastest, 4.00× the speed of torch" in lines
    assert "ort-cuda not available: install it" in lines
    assert "ort at batch 1: timed with <care>; in its usual settings it is off" in lines
    assert "warning: Not reliable: the machine was busy." in lines


def test_equally_fast_contestants_are_said_to_be():
    found = replace(FOUND, entries=(entry("a", 1, 10, 11), entry("b", 1, 11, 10)))
    assert wording.verdict(found) == ["batch 1: a and b are equally fast within their spread"]
    alone = replace(FOUND, entries=(entry("a", 1, 10, 11), entry("b", 1)))
    assert wording.verdict(alone) == ["batch 1: a is fastest, the only one measured"]
    none = replace(FOUND, entries=(entry("b", 1),))
    assert wording.verdict(none) == ["batch 1: nothing was measured"]
    assert not none.right


def test_json_has_every_round_and_what_follows_of_them():
    told = json.loads(to_json(FOUND))
    assert told["graphkit_benchmark"] == 1
    assert told["right"]
    ort = told["entries"][1]
    assert ort["seconds"] == [0.01, 0.011, 0.0105]
    assert ort["latency"]["median"] == 0.0105
    assert ort["speed"]["median"] == pytest.approx(2.0)
    assert ort["fastest"]
    assert "latency" not in told["entries"][2]


def test_markdown_escapes_what_it_is_told():
    told = to_markdown(FOUND)
    assert "<script>" not in told
    assert told.count("| **ort** |") == 2
    assert "| ort-cuda | not available |" in told
    assert "⚠️ Not reliable" in told


def test_the_page_is_whole_and_runs_no_script(tmp_path):
    pytest.importorskip("matplotlib")
    page = write_benchmark(FOUND, tmp_path / "b.html").read_text()
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert page.count("<table>") == 2
    assert "<svg" in page
    assert "http-equiv" in page
    assert "src=" not in page.replace("default-src=", "")


def test_charts_are_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    svg = write_benchmark(FOUND, tmp_path / "b.svg").read_bytes()
    assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert write_benchmark(FOUND, tmp_path / "again.svg").read_bytes() == svg
    assert write_benchmark(FOUND, tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    nothing = replace(FOUND, entries=(entry("b", 1),))
    assert write_benchmark(nothing, tmp_path / "none.png").stat().st_size > 1000


def test_a_bar_is_as_long_as_it_says():
    pytest.importorskip("matplotlib")
    from graphkit.bench.chart import figure_of

    figure = figure_of(FOUND)
    widths = [[bar.get_width() for bar in axes.patches] for axes in figure.axes]
    assert widths == [pytest.approx([1 / 0.021, 1 / 0.0105]), pytest.approx([8 / 0.168, 8 / 0.042])]


def test_a_report_that_cannot_be_written_is_refused_beforehand(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"suffix is \.pdf; give it \.json, \.md, \.html, \.svg or \.png"):
        form_of("b.pdf")
    with pytest.raises(InputError, match="There is no folder"):
        form_of(tmp_path / "nowhere" / "b.json")
    monkeypatch.setattr(write, "find_spec", lambda _name: None)
    for form in FORMS:
        if form in (".json", ".md"):
            write_benchmark(FOUND, tmp_path / f"b{form}")
        else:
            with pytest.raises(MissingError, match=r"pip install 'graphkit\[bench\]'"):
                write_benchmark(FOUND, tmp_path / f"b{form}")
