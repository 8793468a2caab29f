"""Multiply-adds and FLOPs are those that PyTorch counts, forward and backward, in every form of a model."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

import graphkit
from graphkit.inspecting.cost.aten import ATEN, WITHOUT
from graphkit.inspecting.cost.costs import costs
from graphkit.inspecting.cost.count import evaluate, names_in, shown
from graphkit.inspecting.cost.flops import NONE_MADE, makes_none
from graphkit.inspecting.cost.foreign import FOREIGN
from graphkit.inspecting.cost.mxnet import MXNET
from graphkit.ops.index import index

torch = pytest.importorskip("torch")

from networks import NETWORKS, model  # noqa: E402  # they need torch
from pairs import SOURCES, source  # noqa: E402  # likewise
from torch import nn  # noqa: E402  # likewise
from torch.utils._pytree import tree_leaves  # noqa: E402  # likewise
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402  # likewise

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphkit.inspecting.cost.costs import Costs, Sum

Shape = tuple[int, ...]


class Decoder(nn.Module):
    """A layer of a transformer's decoder whose head is tied to its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 16)
        self.source = nn.Linear(8, 16)
        self.layers = nn.TransformerDecoder(nn.TransformerDecoderLayer(16, 2, 24, dropout=0.0, batch_first=True), 1)
        self.head = nn.Linear(16, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x: torch.Tensor) -> Any:
        words = self.embed(torch.ones(x.shape[0], 7, dtype=torch.long, device=x.device))
        return self.head(self.layers(words, self.source(x)))


class Gated(nn.Module):
    """A layer of gated recurrent units, and a linear one on its last step."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.GRU(6, 7, batch_first=True)
        self.head = nn.Linear(7, 4)

    def forward(self, x: torch.Tensor) -> Any:
        return self.head(self.layer(x)[0][:, -1])


OTHERS: dict[str, tuple[Callable[[], nn.Module], Shape]] = {
    "encoder": SOURCES["encoder"],
    "lstm": SOURCES["lstm"],
    "decoder": (Decoder, (2, 5, 8)),
    "gru": (Gated, (2, 5, 6)),
}


def counted(module: nn.Module, *shapes: Shape) -> tuple[int, int]:
    """What PyTorch counts of a forward and of a backward pass, on tensors without numbers.

    With numbers it misses what runs as one kernel of oneDNN (LSTM) or as CPU's own attention.
    """
    module = module.to("meta").eval()
    with FlopCounterMode(display=False) as forward:
        out = module(*(torch.zeros(shape, device="meta") for shape in shapes))
    ends = tree_leaves(out)
    if not any(end.requires_grad for end in ends):
        return forward.get_total_flops(), 0
    with FlopCounterMode(display=False) as backward:
        sum(end.sum() for end in ends if end.requires_grad).backward()
    return forward.get_total_flops(), backward.get_total_flops()


def flops(count: Sum, batch: int) -> int | None:
    """FLOPs of a sum at a batch size; None where something is unknown."""
    return evaluate(count.doubled().value, dict.fromkeys(names_in(count.known), batch))


def both(found: Costs, batch: int) -> tuple[int | None, int | None]:
    return flops(found.forward, batch), flops(found.backward, batch)


@cache
def network(name: str) -> tuple[Callable[[], nn.Module], Shape, ir.Model]:
    if name in NETWORKS:
        return NETWORKS[name].build, NETWORKS[name].shape, model(name)
    build, shape = OTHERS[name]
    if name in SOURCES:
        return build, shape, source(name)
    return build, shape, graphkit.load(build().eval(), inputs=["x".join(map(str, shape))])


@pytest.mark.parametrize("name", [*NETWORKS, *OTHERS])
def test_flops_of_every_form_are_those_that_pytorch_counts_forward_and_backward(name: str, tmp_path: Path) -> None:
    build, shape, read = network(name)
    expected = counted(build(), shape)
    assert expected[0] > 0
    assert both(costs(read), shape[0]) == expected
    graphkit.save(read, tmp_path / "net.onnx", to="onnx")
    assert both(costs(graphkit.look(tmp_path / "net.onnx")), shape[0]) == expected
    graphkit.save(read, tmp_path / "net", to="mxnet")
    symbol = graphkit.look(tmp_path / "net-symbol.json", inputs=["x".join(map(str, shape))])
    assert both(costs(symbol), shape[0]) == expected
    spelled = graphkit.look(tmp_path / "net-symbol.json", inputs=["x".join(map(str, shape))], raw=True)
    assert {node.domain for node in spelled.graph} <= {"mxnet", ""}
    assert both(costs(spelled), shape[0]) == expected


@pytest.mark.filterwarnings("ignore:The tensor attribute:UserWarning")  # torch's own weights of recurrent layers
@pytest.mark.parametrize("name", ["lenet", "encoder", "lstm", "gru"])
def test_flops_of_an_exported_program_are_those_that_pytorch_counts(name: str, tmp_path: Path) -> None:
    build, shape = (NETWORKS[name].build, NETWORKS[name].shape) if name in NETWORKS else OTHERS[name]
    program = torch.export.export(build().eval(), (torch.zeros(shape),))
    torch.export.save(program, tmp_path / "net.pt2")
    expected = counted(build(), shape)
    for raw in (False, True):
        read = graphkit.look(tmp_path / "net.pt2", raw=raw, warn=lambda _: None)  # that its batch stays as it was
        found = costs(read)
        assert found.forward.unknown == ()
        assert both(found, shape[0]) == expected


@pytest.mark.parametrize("batch", [1, 5])
def test_polynomials_in_the_batch_are_what_pytorch_counts_at_any_batch(batch: int) -> None:
    build, shape, read = network("encoder")
    found = costs(read)
    assert found.forward.known.is_polynomial()
    assert both(found, batch) == counted(build(), (batch, *shape[1:]))


def test_a_small_network_costs_what_one_counts_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.Flatten(),
        nn.Linear(512, 10),
    )
    found = costs(graphkit.load(net.eval(), inputs=["1x3x16x16"], dynamic_batch=False))
    assert [cost.macs for cost in found.nodes if cost.macs] == [55_296, 36_864, 5_120]
    assert (found.forward.value, found.forward.doubled().value) == (97_280, 194_560)
    # The first convolution has no gradient in its data.
    assert found.backward.value == 2 * 97_280 - 55_296
    assert shown(found.forward.doubled().value, "FLOPs") == "195 kFLOPs"


def test_pytorchs_count_for_grouped_weights_stands_beside_the_exact_one() -> None:
    net = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3, groups=4), nn.ConvTranspose2d(8, 6, 2, groups=2))
    found = costs(graphkit.load(net.eval(), inputs=["2x4x9x9"]))
    assert both(found, 2) == counted(net, (2, 4, 9, 9))
    first, second, third = (cost for cost in found.nodes if cost.macs)
    assert first.backward == first.backward_exact == first.macs
    assert (second.backward, second.backward_exact) == (5 * second.macs, 2 * second.macs)
    assert (third.backward, third.backward_exact) == (3 * third.macs, 2 * third.macs)


class Halves(nn.Module):
    """Two linear layers, of which the first is not to learn from the second."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 5), nn.Linear(5, 3)
        self.register_buffer("table", torch.ones(3, 3))

    def forward(self, x: torch.Tensor) -> Any:
        return self.second(self.first(x).detach()) @ self.table


class Attending(nn.Module):
    """Attention of more queries than keys, by groups of heads."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(6, 16)

    def forward(self, x: torch.Tensor, memory: torch.Tensor) -> Any:
        query = self.query(x).unflatten(-1, (4, 4)).transpose(1, 2)
        return nn.functional.scaled_dot_product_attention(query, memory, memory, enable_gqa=True)


class Contracting(nn.Module):
    def __init__(self, equation: str, *shapes: Shape) -> None:
        super().__init__()
        self.equation = equation
        self.operands = nn.ParameterList(torch.ones(shape) for shape in shapes)

    def forward(self, x: torch.Tensor) -> Any:
        return torch.einsum(self.equation, x, *self.operands)


@pytest.mark.parametrize(
    ("build", "shapes"),
    [
        (Halves, [(2, 4)]),
        (Attending, [(2, 5, 6), (2, 2, 7, 4)]),
        (lambda: nn.Sequential(nn.Conv1d(3, 4, 3, 2), nn.Conv1d(4, 4, 2, dilation=2)), [(2, 3, 12)]),
        (lambda: nn.Conv3d(2, 3, (1, 2, 3)), [(1, 2, 3, 4, 5)]),
        (lambda: nn.ConvTranspose1d(3, 4, 3, 2, 1, 1), [(2, 3, 5)]),
        (lambda: nn.Sequential(nn.Linear(4, 8, bias=False), nn.Linear(8, 3)), [(2, 3, 5, 4)]),
        (lambda: nn.LSTM(3, 4, 2, batch_first=True, bias=False), [(2, 5, 3)]),
        (lambda: nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2), [(5, 2, 3)]),
        (lambda: nn.RNN(3, 4, bidirectional=True), [(5, 2, 3)]),
    ],
    ids=["detached", "grouped attention", "1-D", "3-D", "transposed 1-D", "many axes", "lstm", "projected", "rnn"],
)
def test_flops_of_layers_are_those_that_pytorch_counts(build: Callable[[], nn.Module], shapes: list[Shape]) -> None:
    inputs = ["x".join(map(str, shape)) for shape in shapes]
    found = costs(graphkit.load(build().eval(), inputs=inputs, dynamic_batch=False))
    assert found.forward.unknown == ()
    assert both(found, 1) == counted(build(), *shapes)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
        ("ijm,jk->ik", [(2, 3, 7), (3, 4)]),
        ("bij,bj->bi", [(2, 3, 4), (2, 4)]),
        ("ij,kj,lj->ikl", [(2, 3), (4, 3), (5, 3)]),
        ("i,j->ij", [(2,), (3,)]),
        ("ij,ij->", [(2, 3), (2, 3)]),
        ("ij,i->ij", [(2, 3), (2,)]),
        ("...ij,...jk->...ik", [(2, 3, 4), (2, 4, 5)]),
        ("...ij,jk", [(2, 3, 4), (4, 5)]),
        ("ij,jk->ik", [(2, 1), (5, 4)]),
        ("abc,abcd->d", [(2, 3, 2), (2, 3, 2, 4)]),
        ("ii->i", [(3, 3)]),
    ],
)
def test_einsum_counts_as_pytorch_contracts_it(equation: str, shapes: list[Shape]) -> None:
    names = [f"x{index}" for index in range(len(shapes))]
    made = one_node(helper.make_node("Einsum", names, ["y"], equation=equation), shapes)
    with FlopCounterMode(display=False) as forward:
        torch.einsum(equation, *(torch.zeros(shape, device="meta") for shape in shapes))
    assert costs(made).forward.doubled().value == forward.get_total_flops()


def one_node(node: onnx.NodeProto, shapes: list[Shape], *, out: Any = None, raw: bool = False) -> ir.Model:
    """A looked-at model of one node on float inputs ``x0``, ``x1``, …."""
    inputs = [helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, shape) for i, shape in enumerate(shapes)]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, out) for name in node.output]
    opsets = [helper.make_opsetid("", 24)]
    if node.domain:
        opsets.append(helper.make_opsetid(node.domain, 1))
    return looked(helper.make_model(helper.make_graph([node], "g", inputs, outputs), opset_imports=opsets), raw=raw)


def looked(proto: onnx.ModelProto, *, raw: bool = False) -> ir.Model:
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        onnx.save(proto, path)
        return graphkit.look(path, raw=raw)


def test_an_operator_that_nobody_knows_is_unknown_and_named() -> None:
    found = costs(one_node(helper.make_node("Mystery", ["x0"], ["y"], name="odd", domain="somebody"), [(2, 3)]))
    (node,) = found.nodes
    assert (node.macs, node.flops, found.forward.value) == (None, None, None)
    assert [each.name for each in found.forward.unknown] == ["odd"]
    assert "somebody" in node.why


def test_a_size_that_nobody_knows_makes_a_product_unknown() -> None:
    made = one_node(helper.make_node("Mystery", ["x0"], ["y"], domain="somebody"), [(2, 3)])
    weight = ir.val("w", ir.DataType.FLOAT, (4, 5))
    product = ir.Node("", "MatMul", [made.graph.outputs[0], weight])
    made.graph.append(product)
    cost = costs(made).by_node()[product]
    assert cost.macs is None
    assert "size" in cost.why


@pytest.mark.parametrize(
    ("operator", "attributes", "shapes", "out", "macs"),
    [
        ("FusedMatMul", {"transA": 1}, [(2, 4, 3), (2, 4, 5)], (2, 3, 5), 2 * 3 * 4 * 5),
        ("FusedMatMul", {"transBatchA": 1}, [(4, 2, 3), (2, 3, 5)], (2, 4, 5), None),
        ("FusedConv", {"group": 2}, [(1, 4, 8, 8), (6, 2, 3, 3)], (1, 6, 6, 6), 6 * 6 * 6 * 18),
        ("FusedGemm", {"transB": 1}, [(2, 3), (5, 3)], (2, 5), 30),
        ("MatMulNBits", {"K": 32, "N": 6, "bits": 4}, [(2, 3, 32), (6, 1, 16)], (2, 3, 6), 2 * 3 * 6 * 32),
        ("MultiHeadAttention", {"num_heads": 2}, [(2, 5, 8), (2, 7, 8), (2, 7, 6)], (2, 5, 6), 2 * 5 * 7 * (8 + 6)),
        ("BiasGelu", {}, [(2, 3), (3,)], (2, 3), 0),
        ("GreedySearch", {}, [(2, 3)], (2, 3), None),
    ],
)
def test_operators_of_onnx_runtime_are_counted_as_files_spell_them(
    operator: str, attributes: dict[str, int], shapes: list[Shape], out: Shape, macs: int | None
) -> None:
    names = [f"x{index}" for index in range(len(shapes))]
    node = helper.make_node(operator, names, ["y"], domain="com.microsoft", **attributes)
    assert costs(one_node(node, shapes, out=out, raw=True)).forward.value == macs


_BODIES = frozenset({"If", "Loop", "Scan"})
_UNKNOWN = frozenset(
    {
        ("", "CausalConvWithState"),
        ("", "LinearAttention"),
        ("", "SequenceMap"),
        ("ai.onnx.ml", "LinearClassifier"),
        ("ai.onnx.ml", "LinearRegressor"),
        ("ai.onnx.ml", "SVMClassifier"),
        ("ai.onnx.ml", "SVMRegressor"),
        ("ai.onnx.preview", "FlexAttention"),
        ("ai.onnx.preview.training", "Gradient"),
    }
)
"""Operators of ONNX whose multiply-adds graphkit does not count."""


def test_every_operator_is_counted_or_known_to_make_no_product_or_unknown() -> None:
    rooms = index().by_onnx
    known = {(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas()} | set(rooms)
    for domain, name in sorted(known):
        room = rooms.get((domain, name))
        counts = (room is not None and room.macs is not None) or (domain, name) in FOREIGN
        stands = [counts, makes_none(name, domain), not domain and name in _BODIES, (domain, name) in _UNKNOWN]
        assert sum(stands) == 1, f"{domain}:{name} stands in {stands}"


_UNKNOWN_MXNET = frozenset(
    """
    Correlation GridGenerator QActivation QConvolution QFullyConnected SpatialTransformer _cond _foreach _while_loop
    _contrib_DeformableConvolution _contrib_ModulatedDeformableConvolution _contrib_interleaved_matmul_encdec_qk
    _contrib_interleaved_matmul_encdec_valatt _contrib_interleaved_matmul_selfatt_qk
    _contrib_interleaved_matmul_selfatt_valatt _contrib_quantized_conv _contrib_quantized_fully_connected
    _image_random_color_jitter _image_random_hue _linalg_gemm _linalg_potri _linalg_syrk _linalg_trmm _np_dot
    _npi_einsum _npi_matmul _npi_pinv _npi_pinv_scalar_rcond _npi_polyval _npi_tensordot _npi_tensordot_int_axes
    _sg_mkldnn_conv _sg_mkldnn_fully_connected _sg_mkldnn_selfatt_qk _sg_mkldnn_selfatt_valatt
    """.split()  # noqa: SIM905  # many words
)
"""Operators of MXNet whose multiply-adds are not counted as a symbol spells them."""


def test_every_operator_of_mxnet_is_counted_or_known_to_make_no_product_or_unknown() -> None:
    for name in index().by_mx:
        stands = [name in MXNET, makes_none(name, "mxnet"), name in _UNKNOWN_MXNET]
        assert sum(stands) == 1, f"{name} stands in {stands}"
    assert index().by_mx.keys() >= _UNKNOWN_MXNET


def test_operators_of_pytorch_that_are_listed_exist_and_are_counted_or_not() -> None:
    assert not ATEN.keys() & WITHOUT
    missing = [
        name
        for name in sorted({*ATEN, *WITHOUT})
        if not any(hasattr(torch.ops.aten, n) for n in (name, f"{name}_", f"{name}__"))
    ]
    assert missing == []


def test_what_is_listed_to_make_no_product_exists() -> None:
    known = {(schema.domain, schema.name) for schema in onnx.defs.get_all_schemas()} | set(index().by_onnx)
    names = {f"{domain}:{name}" if domain else name for domain, name in known}
    assert sorted(NONE_MADE - names) == []


def of_text(text: str) -> Costs:
    return costs(looked(onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["": 21]>\n{text}')))


def test_a_branch_costs_as_much_as_the_larger_one() -> None:
    found = of_text(
        """g (bool c, float[2,3] x, float[3,4] a, float[3,4] b) => (float[2,4] y) {
            y = If (c) <
                then_branch = t () => (float[2,4] p) { p = MatMul (x, a) },
                else_branch = e () => (float[2,4] s) { q = MatMul (x, a) r = MatMul (x, b) s = Add (q, r) }
            >
        }"""
    )
    assert found.forward.value == 2 * 2 * 3 * 4
    assert [(cost.macs, cost.runs) for cost in found.inner if cost.macs] == [(24, 1)] * 3


LOOP = """g ({inputs}float[2,3] x, float[3,3] a) => (float[2,3] y) {{
    {count}
    true = Constant <value = bool {{1}}> ()
    y = Loop (n, true, x) <
        body = b (int64 i, bool go, float[2,3] state) => (bool on, float[2,3] next) {{
            on = Identity (go)
            next = MatMul (state, a)
        }}
    >
}}"""


def test_a_loop_costs_its_body_as_often_as_it_runs() -> None:
    found = of_text(LOOP.format(inputs="", count="n = Constant <value = int64 {5}> ()"))
    assert found.forward.value == 5 * 2 * 3 * 3
    assert [cost.runs for cost in found.inner if cost.macs] == [5]


def test_a_loop_whose_length_depends_on_data_is_unknown() -> None:
    found = of_text(LOOP.format(inputs="int64 n, ", count=""))
    assert found.forward.value is None
    assert [node.op_type for node in found.forward.unknown] == ["Loop"]
    assert any("how often" in cost.why for cost in found.nodes)


def test_a_scan_costs_its_body_for_every_slice_of_a_free_axis() -> None:
    found = of_text(
        """g (float[2,3] x, float[time,2,3] xs, float[3,3] a) => (float[2,3] y) {
            y = Scan <
                num_scan_inputs = 1,
                body = b (float[2,3] state, float[2,3] slice) => (float[2,3] next) {
                    moved = MatMul (state, a)
                    next = Add (moved, slice)
                }
            > (x, xs)
        }"""
    )
    assert shown(found.forward.value) == "18 × time"


def test_nodes_of_a_backward_pass_are_summed_apart() -> None:
    read = model("mobilenet-v2")
    plain = costs(read)
    found = costs(graphkit.grad(read, wrt=[name for name in read.graph.initializers if "weight" in name]))
    assert found.has_backward
    assert found.forward == plain.forward
    assert not plain.has_backward
    # The graph computes what there is to compute, not what PyTorch's formula says of depthwise convolutions.
    assert 0.9 < evaluate(found.backward.value, {"batch": 1}) / evaluate(plain.backward_exact.value, {"batch": 1}) < 1.1
