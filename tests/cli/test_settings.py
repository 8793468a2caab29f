"""What a project's pyproject.toml sets for ``verify`` and ``bisect``, and that the command line wins."""

from __future__ import annotations

import logging
from importlib import import_module

import click
import numpy as np
import onnx_ir as ir
import pytest
from fakes import model

from graphkit.cli import main
from graphkit.parity.settings import KEYS, settings

LEFT_OUT = {
    "verify": {"save-baseline", "summary"},
    "bisect": set(),
}
"""Options of a comparison that make no sense for every run."""
READING = {"input", "params", "trust-pickle", "trust-code", "dynamic-batch", "fix", "limit", "train"}
"""Options that belong to a source."""
EVERYWHERE = {"json", "debug", "timeout", "max-memory"}
"""Options that every command has, or that say who reads what it prints."""


def options(command: str) -> dict[str, click.Option]:
    """The options of a command by their first long name."""
    found = [one for one in import_module(f"graphkit.cli.{command}").COMMAND.params if isinstance(one, click.Option)]
    return {next(name[2:] for name in one.opts if name.startswith("--")): one for one in found}


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Write a pyproject.toml above a folder with ``net.onnx`` and run the command line there."""
    ir.save(model(), tmp_path / "net.onnx")
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    def run(text, *arguments):
        (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
        with pytest.raises(SystemExit) as left:
            main(arguments)
        logging.disable(logging.NOTSET)
        return left.value.code, *capfd.readouterr()

    return run


@pytest.mark.parametrize("command", KEYS)
def test_every_option_of_a_comparison_can_be_set_and_nothing_else(command):
    assert set(KEYS[command]) == set(options(command)) - READING - LEFT_OUT[command] - EVERYWHERE


@pytest.mark.parametrize(
    ("command", "key", "option"),
    [
        (command, key, option)
        for command in KEYS
        for key, option in options(command).items()
        if isinstance(option.type, click.Choice) and key in KEYS[command]
    ],
)
def test_what_can_be_chosen_is_what_the_command_lets_choose(command, key, option, tmp_path):
    path = tmp_path / "pyproject.toml"
    for choice in option.type.choices:
        path.write_text(f'[tool.graphkit.{command}]\n{key} = "{choice}"\n', encoding="utf-8")
        assert settings(path, command) == {key: choice}
    assert KEYS[command][key].told.count('"') == 2 * len(option.type.choices)


SETTINGS = """
[tool.graphkit.verify]
on = ["ort", "reference"]
seeds = "3-4"
batches = 1
lr = 0.5
[tool.graphkit.verify.tolerances]
output = 0.25
"""


def test_a_comparison_is_made_as_the_project_says(run):
    status, out, err = run(SETTINGS, "verify", "../net.onnx")
    assert (status, err) == (0, "")
    assert "ort | reference" in out
    assert "x 1×5" in out
    assert "2 samples (seed 3 to seed 4)" in out
    assert "2.5e-01" in out


def test_what_the_command_is_given_wins(run):
    _, out, _ = run(SETTINGS, "verify", "../net.onnx", "--seed", "9", "--batch", "2", "--tol", "output=0.125")
    assert "x 2×5, seed 9" in out
    assert "1.2e-01" in out
    assert "2.5e-01" not in out


def test_a_flag_that_is_set_can_be_taken_back(run):
    text = "[tool.graphkit.verify]\non = 'ort,reference'\nbackward = true\n"
    assert "input gradient" in run(text, "verify", "../net.onnx")[1]
    assert "input gradient" not in run(text, "verify", "../net.onnx", "--no-backward")[1]


def test_numbers_of_training_are_kept_for_when_it_is_asked_for(run):
    kept = "[tool.graphkit.verify]\nlr = 0.5\non = 'ort'\n"
    assert "of SGD" not in run(kept, "verify", "../net.onnx")[1]
    status, out, err = run(kept, "verify", "../net.onnx", "--train-steps", "1")
    assert (status, err) == (0, "")
    assert "1 step of SGD (lr 0.5" in out


def test_data_that_the_command_is_given_have_their_own_batch_size(run, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((4, 5), np.float32))
    status, out, err = run(SETTINGS, "verify", "../net.onnx", "--feed", "x=../x.npy")
    assert (status, err) == (0, "")
    assert "x 4×5" in out


def test_a_baseline_that_is_set_is_not_in_the_way_of_its_recording(run):
    text = "[tool.graphkit.verify]\non = ['ort', 'reference']\nbaseline = 'b.npz'\n"
    assert run(text, "verify", "../net.onnx")[0] == 2
    status, _, err = run(text, "verify", "../net.onnx", "--save-baseline", "../b.npz")
    assert (status, err) == (0, "")
    status, out, err = run(text, "verify", "../net.onnx")
    assert (status, err) == (0, "")
    assert "baseline" in out


def test_reports_are_written_where_the_file_says(run, tmp_path):
    text = "[tool.graphkit.verify]\non = 'ort,reference'\nreport = ['parity.json', 'parity.xml']\n"
    assert run(text, "verify", "../net.onnx")[0] == 0
    assert {path.name for path in tmp_path.glob("parity.*")} == {"parity.json", "parity.xml"}


def test_a_wrong_key_is_told_in_a_paragraph(run, tmp_path):
    status, out, err = run("[tool.graphkit.verify]\nbackwards = true\n", "verify", "../net.onnx")
    assert (status, out) == (2, "")
    told = " ".join(err.split())
    assert told.startswith(f"graphkit: error: {tmp_path / 'pyproject.toml'}: [tool.graphkit.verify] has no key")
    assert "is 'backward' meant?" in told


@pytest.mark.parametrize("arguments", [("verify", "--help"), ("bisect", "-h"), ("ops", "Relu"), ("--version",)])
def test_what_needs_no_settings_does_not_read_them(run, arguments):
    assert run("[tool.graphkit", *arguments)[0] == 0


def test_bisect_is_set_too(run):
    status, _, err = run("[tool.graphkit.bisect]\ntaps = true\n", "bisect", "../net.onnx")
    assert status == 2
    assert "[tool.graphkit.bisect] has no key 'taps'" in " ".join(err.split())
