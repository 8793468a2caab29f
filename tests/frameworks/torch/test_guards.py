"""Sizes that a module or program decides by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

import graphkit
from graphkit.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Chooses(nn.Module):
    def __init__(self, choose: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.choose = choose

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.choose(x)


def padded(x: torch.Tensor) -> torch.Tensor:
    if x.shape[1] % 4:
        x = nn.functional.pad(x, (0, 0, 0, 4 - x.shape[1] % 4))
    return x.view(x.shape[0], -1, 4, x.shape[2]).sum(2)


def longer(x: torch.Tensor) -> torch.Tensor:
    return x * 2 if x.shape[1] > 10 else x


def blocks(x: torch.Tensor) -> torch.Tensor:
    total = x.sum(1)
    for _ in range((x.shape[1] + 99) // 100):
        total = total * 2
    return total


def spoken_of(x: torch.Tensor) -> torch.Tensor:
    if x.shape[1] > 10:
        x = x * 2
    else:
        print("short")
    return x


def caught(x: torch.Tensor) -> torch.Tensor:
    try:
        if x.shape[1] > 10:
            raise ValueError("too long")
    except ValueError:
        return x * 2
    return x


def checked(x: torch.Tensor) -> torch.Tensor:
    assert x.shape[1] > 4
    if x.shape[1] < 6:
        raise ValueError("too short")
    return x * 2


def halves(x: torch.Tensor) -> torch.Tensor:
    return x.view(x.shape[0], x.shape[1] // 2, 2, x.shape[2]).sum(2)


def told(source: Any, *inputs: str) -> list[str]:
    said: list[str] = []
    graphkit.load(source, inputs=inputs, warn=said.append)
    return said


@pytest.mark.parametrize(
    ("choose", "says"),
    [
        (padded, "x.shape[1] % 4 == 0 (test_guards.py:"),
        (longer, "x.shape[1] > 10 (test_guards.py:"),
        (spoken_of, "x.shape[1] > 10 (test_guards.py:"),
        (caught, "x.shape[1] > 10 (test_guards.py:"),
        (blocks, "(x.shape[1] + 99) // 100 == 1 (test_guards.py:"),
    ],
)
def test_a_choice_by_a_free_size_is_told_with_its_line(
    choose: Callable[[torch.Tensor], torch.Tensor], says: str
) -> None:
    (warning,) = told(Chooses(choose), "?x?x4")
    assert says in warning
    assert "computes something else for other sizes" in warning


@pytest.mark.parametrize("choose", [checked, halves])
def test_checks_and_the_needs_of_layers_are_no_choices(choose: Callable[[torch.Tensor], torch.Tensor]) -> None:
    assert told(Chooses(choose), "?x?x4") == []


def test_a_stored_program_says_for_which_sizes_it_was_exported(tmp_path: Path) -> None:
    free = ({1: torch.export.Dim.DYNAMIC},)
    pieces = Chooses(lambda x: sum(piece.sum(1) for piece in x.tensor_split(3, 1)))  # type: ignore[arg-type,return-value]  # lambda
    torch.export.save(torch.export.export(pieces, (torch.ones(2, 16, 4),), dynamic_shapes=free), tmp_path / "p.pt2")
    (warning,) = [text for text in told(tmp_path / "p.pt2") if "other sizes" in text]
    assert "x.shape[1] % 3 <= 1" in warning
    attends = torch.export.export(nn.Linear(4, 3), (torch.ones(2, 16, 4),), dynamic_shapes=free)
    assert [text for text in told(attends) if "other sizes" in text] == []


def test_the_command_line_names_the_line_that_fixes_the_batch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "fixes.py").write_text(
        "from torch import nn\n\nclass Net(nn.Module):\n    def forward(self, x):\n        return x.view(2, -1)\n"
    )
    with pytest.raises(SystemExit) as left:
        main(["convert", "fixes:Net", "--input", "2x3x4", "--to", "onnx", "-o", str(tmp_path / "n.onnx")])
    assert not left.value.code
    assert "fixes.py:5, in forward" in capsys.readouterr().err


def test_code_that_depends_on_values_is_refused_without_its_graph(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(graphkit.GraphkitError, match=r"test_guards.py:\d+"):
        told(Chooses(lambda x: x * 2 if x.sum() > 0 else x), "2x4")
    assert capfd.readouterr().err == ""
