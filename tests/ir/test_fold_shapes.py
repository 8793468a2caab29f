"""Shape arithmetic is folded where it is right for every size, and nowhere else."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from opsetcases import run_original, text_of

from graphkit.frameworks.onnx import FRAMEWORK
from graphkit.ir.canonical import canonical
from graphkit.ir.canonical.fold_shapes import reshape_codes
from graphkit.ir.params import set_kind

ORT = FRAMEWORK.runtimes[0]
IMAGE = 'float["n",4,"h","w"] x'
SIZES = ({"n": 1, "h": 2, "w": 6}, {"n": 3, "h": 4, "w": 5})


def _folded(body: str, inputs: str = IMAGE, outputs: str = "float y") -> ir.Model:
    """The canonical model, after checking that ONNX Runtime gives the same before and after at several sizes."""
    text = text_of(body, inputs, outputs, 23)
    model = canonical(ir.from_onnx_text(text))
    for sizes in SIZES:
        rng = np.random.default_rng(0)
        feeds = {}
        for value in model.graph.inputs:
            shape = value.shape.evaluate(sizes)
            feeds[value.name] = rng.normal(size=tuple(shape)).astype(value.dtype.numpy())
        expected = run_original(ir.to_proto(ir.from_onnx_text(text)), feeds)
        with ORT.open(model) as session:
            found = session.forward(feeds)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)
    return model


def _ops(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def _constant(model: ir.Model, op_type: str, index: int) -> list[float]:
    (node,) = (node for node in model.graph if node.op_type == op_type)
    return node.inputs[index].const_value.numpy().tolist()


FLATTENED = "s = Shape(x) n = Gather<axis=0>(s, @int64{0}) n1 = Unsqueeze(n, @int64[1]{0}) "


def test_a_computed_flatten_copies_the_batch():
    model = _folded(FLATTENED + "t = Concat<axis=0>(n1, @int64[1]{-1}) y = Reshape(x, t)")
    assert _ops(model) == ["Reshape"]
    assert _constant(model, "Reshape", 1) == [0, -1]


def test_a_split_axis_keeps_its_numbers():
    model = _folded(
        "s = Shape(x) a = Slice(s, @int64[1]{0}, @int64[1]{1}, @int64[1]{0}) "
        "b = Slice(s, @int64[1]{2}, @int64[1]{4}, @int64[1]{0}) c = Concat<axis=0>(a, @int64[2]{2,2}, b) "
        "r = Reshape(x, c) p = Transpose<perm=[0,2,1,3,4]>(r) d = Concat<axis=0>(a, @int64[1]{4}, b) y = Reshape(p, d)",
        'float["n",4,3,5] x',
    )
    assert _ops(model) == ["Reshape", "Transpose", "Reshape"]
    codes = [node.inputs[1].const_value.numpy().tolist() for node in model.graph if node.op_type == "Reshape"]
    assert codes == [[0, 2, 2, 3, 5], [0, 4, 3, 5]]


def test_two_open_dimensions_stay_computed():
    """[n·h, w·c] from [n, c, h, w] says two sizes that no constant can say."""
    model = _folded(
        FLATTENED
        + "h = Gather<axis=0>(s, @int64{2}) w = Gather<axis=0>(s, @int64{3}) nh = Mul(n, h) cw = Mul(w, @int64{4}) "
        "a = Unsqueeze(nh, @int64[1]{0}) b = Unsqueeze(cw, @int64[1]{0}) t = Concat<axis=0>(a, b) "
        "p = Transpose<perm=[0,2,3,1]>(x) y = Reshape(p, t)"
    )
    assert "Shape" in _ops(model)


def test_one_open_dimension_is_inferred():
    model = _folded(
        FLATTENED + "h = Gather<axis=0>(s, @int64{2}) nh = Mul(n, h) a = Unsqueeze(nh, @int64[1]{0}) "
        "t = Concat<axis=0>(a, @int64[2]{4,2}) p = Transpose<perm=[0,2,1,3]>(x) y = Reshape(p, t)",
        'float["n",4,"h",2] x',
    )
    assert _ops(model) == ["Transpose", "Reshape"]
    assert _constant(model, "Reshape", 1) == [-1, 4, 2]


@pytest.mark.parametrize(
    ("source", "target", "result", "codes"),
    [
        (("n", 4), ("n", 2, 2), ("n", 2, 2), [0, 2, 2]),
        (("n", 4), (2, "n", 2), (2, "n", 2), [2, -1, 2]),
        (("n", "h"), ("h", "n"), ("h", "n"), None),
        (("n", "h"), ("n", "h"), ("n", "h"), [0, 0]),
        (("n", "h", 4), ("n", -1), ("n", None), [0, -1]),
        (("n", "h", 4), ("h", -1, 4), ("h", 7, 4), [-1, 7, 4]),
        (("n", 4), (None, 4), (None, 4), [-1, 4]),
    ],
)
def test_codes_of_a_reshape(source, target, result, codes):
    def sizes(items):
        return [ir.SymbolicDim(item)._expr if isinstance(item, str) else item for item in items]

    assert reshape_codes(sizes(source), sizes(target), sizes(result), allowzero=False) == codes


def test_an_empty_dimension_is_not_a_copied_one():
    assert reshape_codes([4, 0], [0, 4], [0, 4], allowzero=True) is None
    assert reshape_codes([4, 3], [0, 3], [4, 3], allowzero=False) == [0, 3]


def test_expanding_to_ones_own_shape_goes():
    model = _folded("s = Shape(x) e = Expand(x, s) y = Relu(e)")
    assert _ops(model) == ["Relu"]


def test_expanding_before_an_operator_that_broadcasts_goes():
    model = _folded("s = Shape(x) c = ConstantOfShape<value=float[1]{2.5}>(s) y = Mul(x, c)")
    assert _ops(model) == ["Mul"]
    assert _constant(model, "Mul", 1) == 2.5


def test_expanding_to_a_size_of_its_own_stays():
    model = _folded("s = Shape(x) c = Expand(@float[1,1]{2.5}, s) y = Concat<axis=0>(c, x)", 'float["n","h"] x')
    assert _ops(model) == ["Shape", "Expand", "Concat"]


def test_expanding_known_axes_has_a_constant_shape():
    model = _folded(FLATTENED + "t = Concat<axis=0>(n1, @int64[3]{4,3,2}) y = Expand(x, t)", 'float["n",4,1,2] x')
    assert _ops(model) == ["Expand"]
    assert _constant(model, "Expand", 1) == [1, 4, 3, 2]


def test_slices_to_the_end_need_no_size():
    model = _folded(FLATTENED + "y = Slice(x, @int64[1]{1}, n1, @int64[1]{0})", 'float["n",4] x')
    assert _ops(model) == ["Slice"]
    assert _constant(model, "Slice", 2) == [2**63 - 1]
    whole = _folded(FLATTENED + "a = Slice(x, @int64[1]{0}, n1, @int64[1]{0}) y = Relu(a)", 'float["n",4] x')
    assert _ops(whole) == ["Relu"]


def test_half_of_a_free_axis_stays_computed():
    model = _folded(
        FLATTENED + "h = Div(n1, @int64[1]{2}) y = Slice(x, @int64[1]{0}, h, @int64[1]{0})", 'float["n",4] x'
    )
    assert "Shape" in _ops(model)


def test_resizing_to_given_sizes_names_the_axes():
    body = "s = Shape(x) a = Slice(s, @int64[1]{0}, @int64[1]{2}, @int64[1]{0}) t = Concat<axis=0>(a, @int64[2]{7,5}) "
    model = _folded(body + 'y = Resize<mode="linear">(x, , , t)')
    assert _ops(model) == ["Resize"]
    assert _constant(model, "Resize", 3) == [7, 5]
    assert list(model.graph[0].attributes["axes"].as_ints()) == [2, 3]


def test_resizing_to_a_multiple_has_scales():
    body = "s = Shape(x) t = Mul(s, @int64[4]{1,1,2,3}) "
    model = _folded(body + 'y = Resize<mode="nearest">(x, , , t)')
    assert _ops(model) == ["Resize"]
    assert _constant(model, "Resize", 2) == [1.0, 1.0, 2.0, 3.0]


def test_scales_from_float_arithmetic_are_folded():
    body = (
        "s = Shape<start=2>(x) f = Cast<to=1>(s) d = Mul(f, @float{2}) i = Cast<to=7>(d) g = Cast<to=1>(i) "
        "r = Div(g, f) t = Concat<axis=0>(@float[2]{1,1}, r) "
    )
    model = _folded(body + 'y = Resize<mode="nearest">(x, , t)')
    assert _ops(model) == ["Resize"]
    assert _constant(model, "Resize", 2) == [1.0, 1.0, 2.0, 2.0]


def test_static_models_fold_fully():
    model = _folded(
        FLATTENED
        + "r = Range(@int64{0}, n, @int64{1}) f = Cast<to=1>(r) u = Unsqueeze(f, @int64[3]{1,2,3}) z = Add(x, u) "
        "t = Concat<axis=0>(n1, @int64[1]{-1}) y = Reshape(z, t)",
        "float[2,4,3,3] x",
    )
    assert _ops(model) == ["Add", "Reshape"]
    assert _constant(model, "Reshape", 1) == [2, -1]


def test_equal_chunks_need_no_sizes():
    model = _folded(
        "s = Shape(x) n = Gather<axis=0>(s, @int64[1]{1}) h = Div(n, @int64[1]{2}) t = Concat<axis=0>(h, h) "
        "p = Concat<axis=1>(x, x) q = Concat<axis=0>(n, n) y, z = Split<axis=1>(p, q)",
        'float["n","w"] x',
        "float y, float z",
    )
    assert _ops(model) == ["Concat", "Split"]
    assert len(model.graph[1].inputs) == 1


def test_the_shape_of_a_parameter_is_known():
    model = ir.from_onnx_text(text_of("s = Shape(w) y = Reshape(x, s)", "float[6] x", "float y", 23))
    weight = ir.val("w", const_value=ir.tensor(np.zeros((2, 3), np.float32), name="w"))
    set_kind(weight, "parameter")
    old = model.graph[0].inputs[0]
    model.graph.initializers.add(weight)
    for user, index in tuple(old.uses()):
        user.replace_input_with(index, weight)
    assert _ops(canonical(model)) == ["Reshape"]
    assert list(model.graph.initializers) != ["w"]
    assert _constant(model, "Reshape", 1) == [2, 3]


def test_known_branches_are_taken():
    model = canonical(
        ir.from_onnx_text(
            """<ir_version: 10, opset_import: ["": 23]>
            g (float["n",1,3] x) => (float y) {
              s = Shape(x) i = Constant<value=int64{1}>() d = Gather<axis=0>(s, i) c = Equal(d, i)
              y = If(c) <then_branch = t () => (float p) { a = Constant<value=int64[1]{1}>() p = Squeeze(x, a) },
                         else_branch = e () => (float q) { q = Identity(x) }>
            }"""
        )
    )
    assert _ops(model) == ["Squeeze"]
    assert [str(dim) for dim in model.graph.outputs[0].shape] == ["n", "3"]


def test_a_small_parameter_stays_a_parameter():
    model = ir.from_onnx_text(
        '<ir_version: 10, opset_import: ["": 23]> g (float["n", 2, 3] x) => (float y) <float[2] w = {1, 2}> '
        "{ c = Constant <value = int64[2] {2, 1}> () r = Reshape (w, c) y = Mul (x, r) }"
    )
    set_kind(model.graph.initializers["w"], "parameter")
    assert "w" in canonical(model).graph.initializers
    assert _ops(model) == ["Reshape", "Mul"]
