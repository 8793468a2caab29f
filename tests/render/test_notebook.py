"""Models in notebooks, in a real IPython."""

from __future__ import annotations

import atexit
import importlib
import sys
from xml.etree import ElementTree as ET

import pytest
from drawn import HOSTILE, block, chain, hostile

import graphkit
from graphkit.errors import ExecutionError
from graphkit.render import notebook

shells = pytest.importorskip("IPython.core.interactiveshell", reason="IPython is not installed")
engine = importlib.import_module("graphkit.render.engine")
SVG = "image/svg+xml"


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A shell that shows pictures, as a notebook's does."""
    from traitlets.config import Config

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    found = shells.InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
    yield found
    found._atexit_once()
    atexit.unregister(found.atexit_operations)


def shown(shell, thing) -> dict[str, str]:
    data, _ = shell.display_formatter.format(thing)
    return data


def words(svg: str) -> set[str]:
    return {(node.text or "").strip() for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}


def test_a_model_is_shown_as_a_picture(shell):
    notebook.register(shell)
    data = shown(shell, block())
    assert {"Conv", "image", "body"} <= words(data[SVG])
    assert data["text/plain"].startswith("Model(")


def test_the_extension_registers_it_and_other_things_stay(shell):
    assert SVG not in shown(shell, block())
    graphkit.load_ipython_extension(shell)
    assert SVG in shown(shell, block())
    assert SVG not in shown(shell, [block()])


def test_names_stay_text(shell):
    notebook.register(shell)
    svg = shown(shell, hostile())[SVG]
    assert HOSTILE not in svg
    assert {"script", "b", "td"}.isdisjoint(node.tag.rpartition("}")[2] for node in ET.fromstring(svg).iter())


def test_a_large_graph_is_folded_to_what_people_read(shell):
    notebook.register(shell)
    svg = shown(shell, chain(700, "net.{}"))[SVG]
    assert len(svg) < 2_000_000
    assert any("folded" in text for text in words(svg))
    assert sum(text.startswith("operators") for text in words(svg)) < 250


def test_what_cannot_be_drawn_stays_text_with_the_reason(shell, monkeypatch, capsys):
    notebook.register(shell)

    def refuse(*_args):
        raise ExecutionError("Graphviz is unwell.")

    monkeypatch.setattr(engine, "lay_out", refuse)
    data = shown(shell, block())
    assert SVG not in data
    assert data["text/plain"].startswith("Model(")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "graphkit: Graphviz is unwell.\n")
    monkeypatch.setattr(engine, "lay_out", lambda *_args: 1 / 0)
    assert SVG not in shown(shell, block())
    assert capsys.readouterr().err == "graphkit: the model cannot be drawn (ZeroDivisionError: division by zero).\n"


def test_a_terminal_draws_nothing(shell, monkeypatch):
    notebook.register(shell)
    monkeypatch.setattr(engine, "lay_out", lambda *_args: pytest.fail("drawn"))
    shell.display_formatter.active_types = ["text/plain"]
    assert set(shown(shell, block())) == {"text/plain"}


def test_importing_graphkit_registers_it_in_the_shell_that_runs(shell, monkeypatch):
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: shell)
    notebook.register_here()
    assert SVG in shown(shell, block())


def test_outside_of_ipython_nothing_happens(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    notebook.register_here()
    assert "IPython" not in sys.modules
