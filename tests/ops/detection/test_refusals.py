"""What ONNX cannot say of a detector is refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest

from graphkit.errors import UnsupportedError
from graphkit.frameworks.base import InputSpec, ReadOptions
from graphkit.frameworks.mxnet.read import from_symbol
from graphkit.ops.mxgraph import MxGraph, MxModel, MxNode, MxRef


def refusal(op: str, attrs: dict[str, str], *shapes: tuple[int | None, ...]) -> str:
    """What is said of a node that reads inputs of given shapes."""
    variables = [MxNode("null", f"x{number}") for number in range(len(shapes))]
    node = MxNode(op, "node", attrs, [MxRef(variable) for variable in variables])
    inputs = tuple(InputSpec(v.name, shape, "float32") for v, shape in zip(variables, shapes, strict=True))
    with pytest.raises(UnsupportedError) as error:
        from_symbol(MxModel(MxGraph([*variables, node], [MxRef(node)])), ReadOptions(inputs=inputs), "symbol")
    return str(error.value)


@pytest.mark.parametrize(
    ("op", "attrs", "shapes"),
    [
        ("_contrib_Proposal", {}, [(1, 24, None, None), (1, 48, None, None), (1, 3)]),
        ("GridGenerator", {"transform_type": "warp"}, [(1, 2, None, None)]),
        ("Correlation", {}, [(1, 3, None, None), (1, 3, None, None)]),
    ],
)
def test_maps_of_unknown_size_are_asked_for(
    op: str, attrs: dict[str, str], shapes: list[tuple[int | None, ...]]
) -> None:
    assert "give the shapes of the model's inputs" in refusal(op, attrs, *shapes)


def test_numbers_that_mean_nothing_are_refused() -> None:
    assert "overlap_thresh is negative" in refusal("_contrib_box_nms", {"overlap_thresh": "-0.1"}, (2, 5, 6))
    grid = {"transform_type": "affine", "target_shape": "(1, 4)"}
    assert "one pixel" in refusal("GridGenerator", grid, (2, 6))
    shapes = (1, 5, 4), (2, 3, 5), (2, 4, 5)
    assert "variances" in refusal("_contrib_MultiBoxTarget", {"variances": "(1, 1)"}, *shapes)
    assert "odd ones only" in refusal("Correlation", {"kernel_size": "2"}, (1, 3, 8, 8), (1, 3, 8, 8))
    assert "leave no place" in refusal("Correlation", {"max_displacement": "4"}, (1, 3, 8, 8), (1, 3, 8, 8))
    assert "variances" in refusal("_contrib_MultiBoxDetection", {"variances": "(1,)"}, (1, 3, 5), (1, 20), (1, 5, 4))


def test_regions_of_four_numbers_are_those_of_the_first_image() -> None:
    variables = [MxNode("null", "data"), MxNode("null", "regions")]
    attrs = {"pooled_size": "(2, 2)", "spatial_scale": "1.0"}
    node = MxNode("_contrib_ROIAlign", "node", attrs, [MxRef(variable) for variable in variables])
    inputs = (InputSpec("data", (2, 1, 4, 4), "float32"), InputSpec("regions", (3, 4), "float32"))
    model = from_symbol(MxModel(MxGraph([*variables, node], [MxRef(node)])), ReadOptions(inputs=inputs), "symbol")
    images = next(n for n in model.graph if n.op_type == "RoiAlign").inputs[2]
    assert images is not None
    producer = images.producer()
    assert producer is not None
    fill = producer.attributes["value"].as_tensor().numpy()
    np.testing.assert_array_equal(fill, [0])
