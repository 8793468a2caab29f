"""How ONNX Runtime is told to execute: threads, optimisation, providers, IO binding; and what runs elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from opsetcases import text_of

import graphkit
from graphkit.errors import ExecutionError, InputError
from graphkit.frameworks.base import Execution, runtimes
from graphkit.frameworks.onnx.binding import Binding
from graphkit.frameworks.onnx.providers import absent, check_options, inference_session, placement, session_options
from graphkit.frameworks.onnx.run import OrtRuntime
from graphkit.ir.canonical import canonical
from graphkit.ir.params import set_kind

ort = pytest.importorskip("onnxruntime")

ORT = runtimes()["ort"]
CUDA = runtimes()["ort-cuda"]
AZURE = OrtRuntime("azure", "ONNX Runtime (Azure)", "AzureExecutionProvider")
"""A provider of the CPU's package that runs nothing but calls of services, so all nodes run on the CPU instead."""
X = np.array([[1, -2, 3]], np.float32)


def _model(body: str, inputs: str = 'float["n",3] x', outputs: str = "float y", **weights: np.ndarray) -> ir.Model:
    model = ir.from_onnx_text(text_of(body, inputs, outputs, 23))
    free = {value.name: value for node in model.graph for value in node.inputs if value and value.producer() is None}
    for name, array in weights.items():
        free[name].const_value = ir.tensor(array, name=name)
        model.graph.register_initializer(free[name])
        set_kind(free[name], "parameter")
    return canonical(model)


def _layer() -> ir.Model:
    return _model("a = MatMul(x, w) b = Relu(a) y = Neg(b)", w=np.eye(3, dtype=np.float32))


def test_options_are_those_asked_for():
    options = session_options(Execution(threads=3, optimization="basic"))
    assert options.intra_op_num_threads == 3
    assert options.graph_optimization_level == ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert options.use_deterministic_compute
    assert not session_options(Execution(fast=True)).use_deterministic_compute


def test_a_session_and_its_gradients_execute_as_asked():
    with ORT.open(_layer(), execution=Execution(threads=1, optimization="none")) as session:
        session.backward({"x": X}, {"y": X})
        opened = [session._session(()), session._gradients._held[1]._session(())]
        assert {each.get_session_options().intra_op_num_threads for each in opened} == {1}
        assert {each.get_session_options().graph_optimization_level for each in opened} == {
            ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        }


@pytest.mark.parametrize("optimization", ["none", "basic", "extended", "all"])
@pytest.mark.parametrize("binding", [False, True])
def test_every_way_of_executing_gives_the_same_numbers(optimization, binding):
    execution = Execution(1, fast=True, optimization=optimization, binding=binding)
    with ORT.open(_layer(), execution=execution) as session:
        np.testing.assert_array_equal(session.forward({"x": X})["y"], -np.maximum(X, 0))


@pytest.mark.parametrize("asked", [{"threads": 0}, {"threads": -2}, {"optimization": "most"}])
def test_what_nothing_can_follow_is_refused(asked):
    with pytest.raises(InputError, match=r"threads|none, basic, extended, all"):
        Execution(**asked)


def test_a_provider_without_options_refuses_all_which_it_would_not_read():
    with pytest.raises(InputError, match="has no provider options, so 'use_arena' says nothing"):
        ORT.open(_layer(), execution=Execution(provider_options=(("use_arena", "0"),)))


def test_a_misspelt_option_is_told_with_the_nearest(monkeypatch):
    known = None, ("arena_extend_strategy", "gpu_mem_limit", "use_tf32")
    monkeypatch.setattr("graphkit.frameworks.onnx.providers._probe", lambda _provider, _settings=(): known)
    check_options("CUDA", CUDA.provider, [("use_tf32", "1")])
    with pytest.raises(InputError, match=r"'use_tf23'. Is it meant to be 'use_tf32'\? Its options are arena_extend"):
        check_options("CUDA", CUDA.provider, [("use_tf23", "1")])
    with pytest.raises(InputError, match="'use_tf32' is given twice"):
        check_options("CUDA", CUDA.provider, [("use_tf32", "1"), ("use_tf32", "0")])


def test_a_value_that_the_provider_cannot_read_is_told_as_it_tells_it(monkeypatch):
    def started(_model, _options, provider, settings):
        if settings:
            raise RuntimeError(f'[ONNXRuntimeError] : 1 : FAIL : Failed to parse "{settings["gpu_mem_limit"]}".')
        return Started(provider)

    @dataclass
    class Started:
        provider: str

        def get_providers(self):
            return [self.provider]

        def get_provider_options(self):
            return {self.provider: {"gpu_mem_limit": "0", "device_id": "0"}}

        def run(self, _outputs, feeds):
            assert list(feeds) == ["x"]

    monkeypatch.setattr("graphkit.frameworks.onnx.providers.inference_session", started)
    with pytest.raises(InputError, match="take the provider options gpu_mem_limit=2G: other does not start: Failed to"):
        check_options("Other", "other", [("gpu_mem_limit", "2G")])
    with pytest.raises(InputError, match="Its options are device_id, gpu_mem_limit"):
        check_options("Other", "other", [("nothing_like_it", "2G")])


def test_a_provider_that_does_not_start_says_what_it_needs():
    if CUDA.missing() is None:
        pytest.skip("CUDA is here")
    with pytest.warns(UserWarning, match="CUDAExecutionProvider"):
        told = absent(CUDA.provider)
    assert told.startswith("CUDAExecutionProvider does not start; it needs an NVIDIA GPU with its driver")
    assert "pip install 'graphkit[ort-cuda]'" in told


def test_options_of_parity_give_way_to_speed_and_to_the_users():
    assert CUDA.options(Execution())["use_tf32"] == "0"
    assert CUDA.options(Execution(provider_options=(("use_tf32", "1"),)))["use_tf32"] == "1"
    assert CUDA.options(Execution(fast=True, provider_options=(("device_id", "1"),))) == {"device_id": "1"}


# What runs where


def test_nodes_that_run_elsewhere_are_told_by_name_and_operator():
    with AZURE.open(_layer()) as session:
        (note,) = session.notes
        assert "AzureExecutionProvider" in session._session(()).get_providers(), "the provider itself is there"
        np.testing.assert_array_equal(session.forward({"x": X})["y"], -np.maximum(X, 0))
    assert note.startswith("ONNX Runtime (Azure): 3 of 3 nodes run on CPUExecutionProvider instead of Azure")
    names = [node.name for node in _layer().graph]
    assert all(name in note for name in names)
    assert "MatMul × 1, Relu × 1, Neg × 1" in note


def test_nodes_of_branches_are_counted_and_those_without_a_name_too():
    text = """
    <ir_version: 10, opset_import: ["": 21]>
    g (float[3] x, bool c) => (float[3] y)
    { y = If(c) <then_branch = a () => (float[3] p) { p = Neg(x) }, else_branch = b () => (float[3] q) { q = Exp(x) }> }
    """
    data = ir.to_proto(ir.from_onnx_text(text)).SerializeToString()
    session = inference_session(data, session_options(Execution()), AZURE.provider, {})
    place = placement(session, AZURE.provider)
    assert place.total == 3
    assert {operator for _, operator, _ in place.elsewhere} == {"If", "Neg", "Exp"}
    assert str(place).startswith("3 of 3 nodes run on CPUExecutionProvider instead of AzureExecutionProvider: ")
    there = placement(session, "CPUExecutionProvider")
    assert there.elsewhere == ()
    assert str(there) == ""


def test_the_cpu_has_nothing_to_tell_and_an_older_onnx_runtime_says_that_it_does_not(monkeypatch):
    with ORT.open(_layer()) as session:
        assert session.notes == ()
    monkeypatch.delattr(ort.InferenceSession.__base__, "get_provider_graph_assignment_info")
    with AZURE.open(_layer()) as session:
        assert "does not tell whether nodes run on the CPU" in session.notes[0]


def test_no_session_falls_back_by_itself(capfd):
    """ONNX Runtime would print what fails, go on without the provider, and leave out what was disabled."""
    data = b"no protobuf at all"
    with pytest.raises(Exception, match="INVALID_PROTOBUF"):
        inference_session(data, session_options(Execution()), AZURE.provider, {})
    assert "Falling back" not in capfd.readouterr().out
    proto = ir.to_proto(_layer()).SerializeToString()
    session = inference_session(proto, session_options(Execution()), AZURE.provider, {})
    assert session._enable_fallback is False


# IO binding


def test_bound_feeds_and_outputs_follow_the_shapes_of_each_call():
    model = _model("y = Neg(x) z = NonZero(x)", outputs="float y, int64 z")
    with ORT.open(model, execution=Execution(binding=True)) as session:
        for rows in (1, 4, 2, 2):
            x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
            found = session.forward({"x": x})
            np.testing.assert_array_equal(found["y"], -x)
            np.testing.assert_array_equal(found["z"], np.stack(np.nonzero(x)))


def test_results_of_bound_runs_stay_as_they_are_when_feeds_change():
    x = X.copy()
    with ORT.open(_layer(), execution=Execution(binding=True)) as session:
        first = session.forward({"x": x})["y"]
        kept = first.copy()
        x[:] = 7
        second = session.forward({"x": x}, taps=["a"])
        np.testing.assert_array_equal(first, kept)
        np.testing.assert_array_equal(second["y"], -x)
        np.testing.assert_array_equal(second["a"], x)
        np.testing.assert_array_equal(session.forward({"x": X})["y"], kept)


def test_a_binding_computes_again_on_the_feeds_that_it_holds():
    session = inference_session(
        ir.to_proto(_layer()).SerializeToString(), session_options(Execution()), ORT.provider, {}
    )
    binding = Binding(session, ["y"], "cpu")
    x = X.copy()
    binding.feed({"x": x}, {"x": 1})
    x[:] = 0
    for _ in range(2):
        binding.run()
        np.testing.assert_array_equal(binding.outputs()[0], -np.maximum(X, 0))


def test_a_binding_lies_on_the_device_of_the_runtime_and_of_its_options(monkeypatch):
    places = []

    class Placed(Binding):
        def __init__(self, session, outputs, device, number):
            places.append((device, number))
            super().__init__(session, outputs, "cpu")

    monkeypatch.setattr("graphkit.frameworks.onnx.binding.Binding", Placed)
    monkeypatch.setattr("graphkit.frameworks.onnx.run.check_options", lambda *_: None)
    gpu = OrtRuntime("gpu", "GPU", ORT.provider, device="cuda")
    for options in ((), (("device_id", "1"),)):
        with gpu.open(_layer(), execution=Execution(binding=True, provider_options=options)) as session:
            session.forward({"x": X})
            session.forward({"x": X})
    assert places == [("cuda", 0), ("cuda", 1)]
    assert CUDA.device == "cuda"


def test_types_that_numpy_lacks_are_bound_too():
    model = _model("y = Cast<to=1>(x)", 'bfloat16["n",3] x')
    with ORT.open(model, execution=Execution(binding=True)) as session:
        np.testing.assert_array_equal(session.forward({"x": X.astype(ml_dtypes.bfloat16)})["y"], X)


def test_what_runs_elsewhere_is_told_of_the_backward_pass_too():
    with AZURE.open(_layer()) as session:
        session.backward({"x": X}, {"y": X})
        forward, backward = session.notes
    assert forward.startswith("ONNX Runtime (Azure): 3 of 3 nodes")
    assert backward.startswith("In the backward pass: ONNX Runtime (Azure): ")


def test_a_comparison_warns_of_what_runs_elsewhere():
    report = graphkit.verify(_layer(), on=[ORT, AZURE])
    assert report.passed
    assert any("3 of 3 nodes run on CPUExecutionProvider instead of Azure" in told for told in report.warnings)


def test_gradients_are_bound_as_well():
    with ORT.open(_layer(), execution=Execution(binding=True)) as session:
        found = session.backward({"x": X}, {"y": np.ones_like(X)})
    np.testing.assert_array_equal(found["x"], -(X > 0).astype(np.float32))


def test_what_has_no_place_on_a_device_is_told():
    model = _model("y = StringNormalizer(x)", 'string["n"] x', "string y")
    with (
        ORT.open(model, execution=Execution(binding=True)) as session,
        pytest.raises(ExecutionError, match="input 'x' is no tensor of numbers"),
    ):
        session.forward({"x": np.array(["a"], object)})
