"""``graphkit bench``."""

from __future__ import annotations

import json
import logging

import pytest
from contests import Contestant
from fakes import model

import graphkit
from graphkit.cli import main
from graphkit.frameworks import base


@pytest.fixture
def bench(tmp_path, monkeypatch, capfd):
    """Run the command in a folder that has a model in it; exit status, what was printed, and what was complained."""
    monkeypatch.chdir(tmp_path)
    graphkit.save(model(), "net.onnx", to="onnx")

    def run(*arguments):
        with pytest.raises(SystemExit) as left:
            main(["bench", "net.onnx", *arguments])
        logging.disable(logging.NOTSET)
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return left.value.code, out, " ".join(err.split())

    return run


@pytest.fixture
def contestants(monkeypatch):
    """Let the command line know contestants of ours, and no others."""

    def known(*given):
        monkeypatch.setattr("graphkit.bench.benchmark.timers", lambda: {one.name: one for one in given})

    return known


def test_a_model_is_timed_for_real(bench, tmp_path):
    status, out, err = bench(
        "--on", "ort", "--batch", "2", "--threads", "1", "--rounds", "2", "--seconds", "0.01", "--json",
        "--report", "b.md",
    )  # fmt: skip
    assert (status, err) == (0, "")
    (entry,) = json.loads(out)["entries"]
    assert (entry["name"], entry["status"], entry["batch"], len(entry["seconds"])) == ("ort", "measured", 2, 2)
    assert 0 < entry["latency"]["median"] < 10
    assert entry["peak"] > 0
    assert "| **ort** |" in (tmp_path / "b.md").read_text()


def test_a_wrong_contestant_makes_the_status_1(bench, contestants):
    contestants(Contestant("right"), Contestant("other", outputs=(lambda found: {"y": found["y"] + 1},)))
    status, out, err = bench("--on", "right,other", "--rounds", "2")
    assert (status, err) == (1, "")
    assert "WRONG" in out
    assert "other WRONG: output y is off by" in out
    assert "batch 1: right is fastest, the only one measured" in out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--on", "rot"], "Nothing that can be timed is called 'rot'; is 'ort' meant?"),
        (["--on", "absent"], "none of the contestants is available. absent: install it."),
        (["--batch", "0"], "0"),
        (["--report", "b.pdf"], "suffix is .pdf"),
        (["--report", "nowhere/b.md"], "There is no folder 'nowhere'"),
        (["--threads", "0"], "--threads"),
        (["--on", "ort", "--input", "y:2x5"], "no input 'y'"),
    ],
)
def test_bad_input_is_refused_with_status_2(bench, contestants, arguments, told):
    contestants(base.timers()["ort"], Contestant("absent", absent="install it"))
    status, out, err = bench(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("graphkit: error:")
    assert told in err


def test_an_interrupt_ends_with_130_and_leaves_nothing_running(bench, contestants):
    log = []
    contestants(Contestant("one", log=log), Contestant("two", log=log, dies={0: KeyboardInterrupt()}))
    status, _, err = bench("--on", "one,two")
    assert (status, err) == (130, "graphkit: interrupted.")
    assert sorted(name for name, what in log if what == "close") == ["one", "two"]
