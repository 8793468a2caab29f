"""Pictures of models that compute gradients."""

from __future__ import annotations

import pytest
from drawn import block

from graphkit.ir.view import nx_view
from graphkit.passes.gradient.model import gradient_model
from graphkit.render import picture
from graphkit.render.compose import draw
from graphkit.render.drawing import Box, Drawing, Frame
from graphkit.render.style import BACKWARD, KEPT


@pytest.fixture(scope="module")
def drawing() -> Drawing:
    return draw(nx_view(gradient_model(block())))


def inside(frame: Frame) -> set[str]:
    found: set[str] = set()
    for item in frame.children:
        found |= {item.id} if isinstance(item, Box) else inside(item)
    return found


def test_the_two_passes_have_a_frame_each_which_holds_the_modules(drawing):
    passes = {item.title: item for item in drawing.children if isinstance(item, Frame)}
    assert set(passes) == {"forward", "backward"}
    assert not passes["forward"].backward
    assert passes["backward"].backward
    for frame in passes.values():
        assert [item.title for item in frame.children if isinstance(item, Frame)] == ["body"]
    assert sum(box.kind == "operator" for box in drawing.boxes()) == sum(
        len(inside(frame)) for frame in passes.values()
    )


def test_values_kept_for_the_backward_pass_have_quiet_arrows(drawing):
    backward = next(inside(item) for item in drawing.children if isinstance(item, Frame) and item.backward)
    operators = {box.id for box in drawing.boxes() if box.kind == "operator"}
    for arrow in drawing.arrows:
        assert arrow.kept == (arrow.tail in operators - backward and arrow.head in backward)
    assert any(arrow.kept for arrow in drawing.arrows)
    assert f'color="{KEPT}"' in picture(gradient_model(block()), "dot").decode()


def test_the_backward_pass_has_a_colour_of_its_own():
    assert f'fillcolor="{BACKWARD[0]}"' in picture(gradient_model(block()), "dot").decode()
    assert BACKWARD[0] not in picture(block(), "dot").decode()


def test_folded_at_the_top_there_is_a_box_for_each_pass():
    drawing = draw(nx_view(gradient_model(block())), depth=0)
    assert [box.title for box in drawing.boxes() if box.kind == "module"] == ["forward", "backward"]
