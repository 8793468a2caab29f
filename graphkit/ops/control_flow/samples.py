"""Cases of branches and loops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphkit.ops.codec import show
from graphkit.ops.mxgraph import VARIABLE, MxGraph, MxNode, MxRef
from graphkit.ops.spec import Case, arr, given

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BRANCHES", "LOOPS", "MX_BRANCHES", "MX_LOOPS", "MX_SCANS", "SCANS", "body"]

_TRUE, _FALSE = given(True, "bool"), given(False, "bool")


def _branch(name: str, then: str, otherwise: str, *inputs: Any, outputs: int = 1, **more: Any) -> tuple[Case, ...]:
    graphs = {"then_branch": f"then {then}", "else_branch": f"otherwise {otherwise}"}
    return tuple(
        Case(f"{name}: {which}", (flag, *inputs), outputs=outputs, captured=len(inputs), graphs=graphs, **more)
        for which, flag in (("then", _TRUE), ("else", _FALSE))
    )


BRANCHES: Final = (
    *_branch(
        "reads what is outside",
        "() => (float[2,3] t) { t = Tanh(x1) }",
        "() => (float[2,3] e) { e = Mul(x1, x1) }",
        arr(2, 3),
    ),
    *_branch(
        "each its weight",
        "() => (float[2,4] t) { t = MatMul(x1, x2) }",
        "() => (float[2,4] e) { s = MatMul(x1, x3) e = Sigmoid(s) }",
        arr(2, 3),
        arr(3, 4),
        arr(3, 4),
        const=(2, 3),
    ),
    *_branch(
        "several outputs, one of them from outside",
        "() => (float[2,3] t, float[2,3] u) { t = Tanh(x1) u = Identity(x1) }",
        "() => (float[2,3] e, float[2,3] f) { e = Identity(x1) f = Mul(x1, x1) }",
        arr(2, 3),
        outputs=2,
    ),
    *_branch(
        "a branch in a branch",
        "() => (float[3] t) { t = If (x2) <then_branch = a () => (float[3] p) { p = Exp(x1) }, "
        "else_branch = b () => (float[3] q) { q = Sin(x1) }> }",
        "() => (float[3] e) { e = Cos(x1) }",
        arr(3),
        _FALSE,
    ),
    *_branch(
        "truth values and integers",
        "() => (bool[3] t, int64[3] u) { t = Less(x1, x2) u = Add(x3, x3) }",
        "() => (bool[3] e, int64[3] f) { e = Greater(x1, x2) f = Identity(x3) }",
        arr(3),
        arr(3),
        given([1, 2, 3], "int64"),
        outputs=2,
        grad=False,
    ),
)


def _loop(name: str, text: str, *inputs: Any, **more: Any) -> Case:
    return Case(name, inputs, graphs={"body": f"body {text}"}, **more)


_COUNT = given(3, "int64")
_KEEP = "d = Identity(c)"

LOOPS: Final = (
    _loop(
        "counted",
        f"(int64 i, bool c, float[3] h) => (bool d, float[3] g) {{ {_KEEP} g = Sin(h) }}",
        _COUNT,
        None,
        arr(3),
        const=(0,),
    ),
    _loop(
        "collected",
        f"(int64 i, bool c, float[2,3] h) => (bool d, float[2,3] g, float[2,3] y) "
        f"{{ {_KEEP} g = Sin(h) y = Mul(g, h) }}",
        _COUNT,
        None,
        arr(2, 3),
        const=(0,),
        outputs=2,
    ),
    _loop(
        "reads the number of the turn and a weight",
        f"(int64 i, bool c, float[2,3] h) => (bool d, float[2,3] g) "
        f"{{ {_KEEP} r = Gather (x3, i) m = MatMul(h, r) g = Tanh(m) }}",
        _COUNT,
        None,
        arr(2, 3),
        arr(3, 3, 3),
        const=(0, 3),
        captured=1,
    ),
    _loop(
        "carried around",
        f"(int64 i, bool c, float[3] a, float[3] b) => (bool d, float[3] e, float[3] f) "
        f"{{ {_KEEP} e = Identity(b) f = Sin(a) }}",
        _COUNT,
        None,
        arr(3),
        arr(3),
        const=(0,),
        outputs=2,
    ),
    _loop(
        "integers computed from floats",
        f"(int64 i, bool c, float[3] a, int64[3] n) => (bool d, float[3] e, int64[3] m) "
        f"{{ {_KEEP} f = CastLike(n, a) q = Mul(f, f) s = Sin(a) e = Add(s, q) m = Cast <to = 7> (e) }}",
        _COUNT,
        None,
        given([0.3, -0.9, 2.3], "float32"),
        given([1, 2, -1], "int64"),
        const=(0,),
        outputs=2,
    ),
    _loop(
        "collects integers computed from floats",
        f"(int64 i, bool c, float[3] a) => (bool d, float[3] e, int64[3] m, int64 n, bool[3] p) "
        f"{{ {_KEEP} e = Sin(a) m = Cast <to = 7> (a) n = ArgMax <keepdims = 0> (a) p = Less(a, e) }}",
        _COUNT,
        None,
        given([1.3, -0.9, 2.3], "float32"),
        const=(0,),
        outputs=4,
    ),
    _loop(
        "carries floats that no gradient passes",
        f"(int64 i, bool c, float[3] a, float[3] b) => (bool d, float[3] e, float[3] f) "
        f"{{ {_KEEP} e = Floor(a) s = Sin(b) f = Add(s, e) }}",
        _COUNT,
        None,
        given([1.3, -0.9, 2.3], "float32"),
        arr(3),
        const=(0,),
        outputs=2,
    ),
    _loop(
        "scalars",
        f"(int64 i, bool c, float h, int64 n) => (bool d, float g, int64 m, float y, int64 z) "
        f"{{ {_KEEP} g = Sin(h) m = Add(n, i) y = Mul(g, g) z = Identity(n) }}",
        _COUNT,
        None,
        arr(),
        given(4, "int64"),
        const=(0,),
        outputs=4,
    ),
    _loop(
        "until a condition fails",
        "(int64 i, bool c, float[3] h) => (bool d, float[3] g) "
        "{ g = Add(h, x3) s = ReduceSum <keepdims=0> (g) d = Less(s, x4) }",
        given(9, "int64"),
        None,
        given([0.1, 0.2, 0.3], "float32"),
        given([0.5, 0.25, 0.125], "float32"),
        given(3.0, "float32"),
        const=(0, 4),
        captured=2,
    ),
    _loop(
        "while",
        "(int64 i, bool c, float[3] h, int64 n) => (bool d, float[3] g, int64 m) "
        "{ g = Mul(h, x4) s = ReduceSum <keepdims=0> (g) d = Greater(s, x5) m = Add(n, i) }",
        None,
        _TRUE,
        given([1.0, 2.0, 3.0], "float32"),
        given(0, "int64"),
        given([0.5, 0.25, 0.125], "float32"),
        given(0.1, "float32"),
        const=(5,),
        captured=2,
        outputs=2,
    ),
    _loop(
        "a loop in a loop",
        f"(int64 i, bool c, float[3] h) => (bool d, float[3] g, float[3] y) {{ {_KEEP} "
        "g = Loop (x0, c, h) <body = inner (int64 j, bool p, float[3] q) => (bool r, float[3] s) "
        "{ r = Identity(p) t = Mul(q, x3) s = Sin(t) }> y = Mul(g, x3) }",
        _COUNT,
        None,
        arr(3),
        arr(3),
        const=(0, 3),
        captured=1,
        outputs=2,
    ),
    _loop(
        "a branch in a loop",
        f"(int64 i, bool c, float[3] h) => (bool d, float[3] g) {{ {_KEEP} "
        "s = ReduceSum <keepdims=0> (h) b = Greater(s, x3) g = If (b) <then_branch = t () => (float[3] p) "
        "{ p = Mul(h, x4) }, else_branch = e () => (float[3] q) { q = Add(h, x4) }> }",
        _COUNT,
        None,
        given([0.1, 0.2, 0.3], "float32"),
        given(1.0, "float32"),
        given([0.5, 0.25, 0.5], "float32"),
        const=(0, 3),
        captured=2,
    ),
    _loop(
        "collected until a condition fails",
        "(int64 i, bool c, float[3] h) => (bool d, float[3] g, float[3] y) "
        "{ g = Add(h, x3) s = ReduceSum <keepdims=0> (g) d = Less(s, x4) y = Mul(g, h) }",
        given(9, "int64"),
        None,
        given([0.1, 0.2, 0.3], "float32"),
        given([0.5, 0.25, 0.125], "float32"),
        given(3.0, "float32"),
        const=(0, 4),
        captured=2,
        outputs=2,
    ),
    _loop(
        "never",
        f"(int64 i, bool c, float[3] h) => (bool d, float[3] g, float[3] y) {{ {_KEEP} g = Sin(h) y = Mul(g, h) }}",
        _COUNT,
        _FALSE,
        arr(3),
        const=(0,),
        outputs=2,
    ),
    _loop(
        "a computed number of turns",
        f"(int64 i, bool c, float[3] h) => (bool d, float[3] g) {{ {_KEEP} g = Sin(h) }}",
        _COUNT,
        None,
        arr(3),
    ),
    _loop(
        "growing",
        f"(int64 i, bool c, float[A] h) => (bool d, float[B] g) {{ {_KEEP} g = Concat <axis=0> (h, h) }}",
        _COUNT,
        None,
        arr(3),
        const=(0,),
    ),
)


def _scan(name: str, text: str, *inputs: Any, count: int = 1, attrs: Any = None, **more: Any) -> Case:
    return Case(name, inputs, {"num_scan_inputs": count, **(attrs or {})}, graphs={"body": f"body {text}"}, **more)


SCANS: Final = (
    _scan(
        "recurrent layer",
        "(float[2,3] h, float[2,4] x) => (float[2,3] g, float[2,3] y) "
        "{ a = MatMul(x, x2) b = MatMul(h, x3) s = Add(a, b) t = Add(s, x4) g = Tanh(t) y = Identity(g) }",
        arr(2, 3),
        arr(5, 2, 4),
        arr(4, 3),
        arr(3, 3),
        arr(3),
        const=(2, 3, 4),
        captured=3,
        outputs=2,
    ),
    _scan(
        "free batch",
        "(float[N,3] h, float[N,3] x) => (float[N,3] g, float[N,3] y) { a = Add(h, x) g = Sin(a) y = Mul(g, x) }",
        arr(2, 3),
        arr(2, 5, 3),
        attrs={"scan_input_axes": [1]},
        outputs=2,
        dynamic=(0, 1),
    ),
    _scan(
        "other axes and directions",
        "(float[2,3] h, float[2,3] x, float[3] z) => (float[2,3] g, float[2,3] y, float[3] w) "
        "{ a = Add(h, x) g = Mul(a, z) y = Identity(g) w = Mul(z, z) }",
        arr(2, 3),
        arr(2, 5, 3),
        arr(3, 5),
        count=2,
        attrs={
            "scan_input_axes": [1, -1],
            "scan_input_directions": [0, 1],
            "scan_output_axes": [-1, 1],
            "scan_output_directions": [1, 0],
        },
        outputs=3,
    ),
    _scan(
        "scalars",
        "(float h, float x) => (float g, float y) { g = Add(h, x) y = Mul(g, g) }",
        arr(),
        arr(4),
        outputs=2,
    ),
    _scan("nothing carried", "(float[3] x) => (float[3] y) { y = Sin(x) }", arr(4, 3)),
    _scan(
        "what is carried is not read",
        "(float[3] h, float[3] x) => (float[3] g, float[3] y) { g = Identity(x) y = Mul(x, x) }",
        arr(3),
        arr(4, 3),
        outputs=2,
    ),
    _scan(
        "one in another",
        "(float[3] h, float[2,3] x) => (float[3] g, float[2,3] y) { g, y = Scan (h, x) <num_scan_inputs=1, "
        "body = inner (float[3] p, float[3] q) => (float[3] r, float[3] s) "
        "{ t = Mul(q, x2) r = Add(p, t) s = Sin(r) }> }",
        arr(3),
        arr(4, 2, 3),
        arr(3),
        const=(2,),
        captured=1,
        outputs=2,
    ),
    _scan(
        "truth values and integers",
        "(bool[3] h, int64[3] n, float[3] x, int64[3] k) => (bool[3] g, int64[3] m, bool[3] y) "
        "{ b = Less(x, x4) g = Xor(h, b) m = Add(n, k) y = Identity(b) }",
        given([True, False, True], "bool"),
        given([1, 2, 3], "int64"),
        arr(4, 3),
        arr(4, 3, low=0, high=9, dtype="int64"),
        given([0.1, 0.0, -0.1], "float32"),
        count=2,
        captured=1,
        outputs=3,
        grad=False,
    ),
)


def body(*heads: tuple[Any, ...]) -> MxGraph:
    """A subgraph from its heads, each an operator's name, its inputs and perhaps a dict of its parameters.

    An input is a variable's name or again such a tuple; the same tuple object is the same node.
    """
    variables: dict[str, MxNode] = {}
    nodes: dict[int, MxNode] = {}

    def ref(item: Any) -> MxRef:
        if isinstance(item, str):
            return MxRef(variables.setdefault(item, MxNode(VARIABLE, item)))
        if id(item) not in nodes:
            op, *inputs = item
            attrs = inputs.pop() if isinstance(inputs[-1], dict) else {}
            made = [ref(each) for each in inputs]
            spelled = {name: show(value) for name, value in attrs.items()}
            nodes[id(item)] = MxNode(op, f"{op.strip('_')}{len(nodes)}", spelled, made)
        return MxRef(nodes[id(item)])

    graph = MxGraph(heads=[ref(head) for head in heads])
    graph.arrange()
    return graph


def _foreach(
    name: str,
    graph: MxGraph,
    data: Sequence[int],
    states: Sequence[int],
    rest: Sequence[int],
    *inputs: Any,
    **more: Any,
) -> Case:
    count = len(graph.heads)
    attrs = {
        "num_args": len(inputs) + 1,
        "num_outputs": count,
        "num_out_data": count - len(states),
        "in_data_locs": list(data),
        "in_state_locs": list(states),
        "remain_locs": list(rest),
    }
    return Case(name, inputs, attrs, subgraphs=(graph,), outputs=count, **more)


_STEP = ("tanh", ("elemwise_add", ("FullyConnected", "d", "w", "b", {"num_hidden": 3}), "s"))

MX_SCANS: Final = (
    _foreach(
        "recurrent layer",
        body(("_mul_scalar", _STEP, {"scalar": 2.0}), _STEP),
        [0],
        [3],
        [1, 2],
        arr(5, 2, 4),
        arr(2, 3),
        arr(3, 4),
        arr(3),
        const=(2, 3),
    ),
    _foreach(
        "rows of one number", body(("elemwise_mul", "d", "s"), ("elemwise_add", "s", "d")), [0], [1], [], arr(4), arr(1)
    ),
    _foreach("two arrays", body(("elemwise_mul", "d", "e")), [0, 1], [], [], arr(4, 3), arr(4, 3)),
    _foreach("states only", body(("elemwise_mul", "d", "s"), ("sin", "t")), [0], [1, 2], [], arr(4, 3), arr(3), arr(3)),
)

_MORE = ("_plus_scalar", "i", {"scalar": 1.0})


def _while(
    name: str,
    condition: MxGraph,
    graph: MxGraph,
    tested: Sequence[int],
    used: Sequence[int],
    variables: Sequence[int],
    *inputs: Any,
    most: int = 6,
    **more: Any,
) -> Case:
    count = len(graph.heads)
    attrs = {
        "num_args": len(inputs) + 2,
        "num_outputs": count,
        "num_out_data": count - len(variables),
        "max_iterations": most,
        "cond_input_locs": list(tested),
        "func_input_locs": list(used),
        "func_var_locs": list(variables),
    }
    return Case(name, inputs, attrs, subgraphs=(condition, graph), outputs=count, **more)


_START = given([0.5], "float32")
_BELOW = body(("_lesser_scalar", "i", {"scalar": 4.0}))
_TIMES = body(("_mul_scalar", "s", {"scalar": 2.0}), _MORE, ("elemwise_mul", "s", "x"))

MX_LOOPS: Final = (
    _while("ends before the limit", _BELOW, _TIMES, [0], [1, 0, 2], [1, 0], _START, arr(3), arr(3)),
    _while("ends at the limit", _BELOW, _TIMES, [0], [1, 0, 2], [1, 0], _START, arr(3), arr(3), most=3),
    _while(
        "condition on data",
        body(("_lesser", ("sum", "s"), "n")),
        body(_MORE, ("elemwise_add", "s", "x")),
        [1, 3],
        [0, 1, 2],
        [0, 1],
        _START,
        given([0.0, 0.1, 0.2], "float32"),
        given([1.0, 0.5, 0.25], "float32"),
        given([4.0], "float32"),
    ),
    _while(
        "no turn",
        _BELOW,
        body(_MORE, ("elemwise_mul", "s", "x")),
        [0],
        [0, 1, 2],
        [0, 1],
        given([5.0], "float32"),
        arr(3),
        arr(3),
    ),
)


def _cond(name: str, first: float, second: float) -> Case:
    attrs = {
        "num_args": 8,
        "num_outputs": 2,
        "cond_input_locs": [0, 1],
        "then_input_locs": [0, 2],
        "else_input_locs": [2, 3, 4],
    }
    bodies = (
        body(("_lesser", "a", "b")),
        body(("broadcast_mul", "a", "x"), ("sin", "x")),
        body(("elemwise_add", "x", "y"), ("elemwise_mul", "x", "w")),
    )
    numbers = (given([first], "float32"), given([second], "float32"))
    return Case(name, (*numbers, arr(3), arr(3), arr(3)), attrs, const=(4,), outputs=2, subgraphs=bodies)


MX_BRANCHES: Final = (_cond("then", 1.0, 2.0), _cond("else", 2.0, 1.0))
