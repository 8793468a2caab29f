"""Networks that MXNet's own tools quantize compute the same integers everywhere, to the last step."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import graphkit
from graphkit.frameworks.base import InputSpec, ReadOptions, frameworks, runtimes
from graphkit.frameworks.mxnet.run import interpreter

SCRIPT = Path(__file__).with_name("int8_network.py")
CONFIGURATIONS = [
    ("fused", "auto", "tensor-wise"),
    ("fused", "int8", "channel-wise"),
    ("fused", "float32", "tensor-wise"),
    ("plain", "uint8", "tensor-wise"),
    ("attention", "auto", "channel-wise"),
]


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=" ".join)
def test_a_quantized_network_keeps_its_numbers(configuration: tuple[str, str, str], tmp_path: Path) -> None:
    if (problem := runtimes()["mxnet"].missing()) is not None:
        pytest.skip(problem)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MXNET_")}
    command = [interpreter(), "-W", "ignore", str(SCRIPT), str(tmp_path), *configuration]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    numbers = np.load(tmp_path / "numbers.npz")
    heard: list[str] = []
    spec = InputSpec("data", numbers["x"].shape, "float32")
    options = ReadOptions(inputs=(spec,), warn=heard.append)
    model = frameworks()["mxnet"].read(tmp_path / "int8-symbol.json", options)
    assert any("middle between two quantization steps" in message for message in heard) == (configuration[0] == "plain")
    assert any("leaky rectifier as unsigned" in message for message in heard) == (configuration[0] == "attention")
    mixed = {message.partition(",")[0][-60:] for message in heard if "writes its sum" in message}
    assert len(mixed) == (2 if configuration[0] == "fused" and configuration[1] != "float32" else 0), mixed
    for runtime, native in (("mxnet", True), ("mxnet", False), ("ort", False), ("torch", False)):
        with runtimes()[runtime].open(model, native=native) as session:
            (found,) = session.forward({"data": numbers["x"]}).values()
        np.testing.assert_allclose(found, numbers["y"], rtol=0, atol=1e-6, err_msg=f"{runtime} {native}")
    graphkit.save(model, tmp_path / "int8.onnx", to="onnx", warn=heard.append)
    written = graphkit.load(tmp_path / "int8.onnx")
    operators = {node.op_type for node in written.graph}
    if configuration[1] != "float32":
        attends = configuration[0] == "attention"
        layers = {"MatMul", "MatMulInteger"} if attends else {"Conv", "Gemm"}
        assert operators >= {*layers, "QuantizeLinear", "DequantizeLinear"}
        assert sum(node.op_type in ("ConvInteger", "MatMulInteger") for node in written.graph) == 2 * attends
        assert any("between DequantizeLinear and QuantizeLinear" in message for message in heard)
    for runtime in ("ort", "torch"):
        with runtimes()[runtime].open(written) as session:
            (found,) = session.forward({"data": numbers["x"]}).values()
        np.testing.assert_allclose(found, numbers["y"], rtol=0, atol=1e-6, err_msg=f"{runtime}, of the file")
