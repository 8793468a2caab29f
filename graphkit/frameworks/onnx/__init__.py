"""ONNX files, ONNX Runtime and the ONNX reference evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkit.frameworks.base import About, Framework, ReadOptions, WriteOptions
from graphkit.frameworks.onnx.reference import ReferenceRuntime
from graphkit.frameworks.onnx.run import OrtRuntime

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.frameworks.support import Support
    from graphkit.frameworks.timing import Timer

__all__ = ["FRAMEWORK"]


def _recognises(source: Any) -> bool:
    return isinstance(source, str | Path) and Path(source).suffix == ".onnx"


def _read(source: Any, options: ReadOptions) -> ir.Model:
    from graphkit.frameworks.onnx.read import read

    return read(Path(source), options)


def _look(source: Any, options: ReadOptions, raw: bool) -> ir.Model:
    from graphkit.frameworks.onnx.look import look

    return look(source, options, raw)


def _about(source: Any, options: ReadOptions, model: ir.Model) -> About:
    from graphkit.frameworks.onnx.about import about

    return about(source, options, model)


def _write(model: ir.Model, output: Path, options: WriteOptions) -> list[Path]:
    from graphkit.frameworks.onnx.write import write
    from graphkit.passes.qdq import as_qdq

    return write(as_qdq(model, options.warn), output, options)


def _check(model: ir.Model, options: WriteOptions) -> None:
    from graphkit.frameworks.onnx.write import check
    from graphkit.passes.qdq import as_qdq

    check(as_qdq(model), options)


def _operators() -> list[Support]:
    from graphkit.frameworks.onnx.support import operators

    return operators()


def _timers() -> tuple[Timer, ...]:
    from graphkit.frameworks.onnx.timing import OrtTimer

    return tuple(OrtTimer(runtime) for runtime in FRAMEWORK.runtimes if isinstance(runtime, OrtRuntime))


FRAMEWORK = Framework(
    name="onnx",
    label="ONNX",
    recognises=_recognises,
    read=_read,
    look=_look,
    about=_about,
    write=_write,
    check=_check,
    runtimes=(
        OrtRuntime("ort", "ONNX Runtime (CPU)", "CPUExecutionProvider"),
        OrtRuntime(
            "ort-cuda",
            "ONNX Runtime (CUDA)",
            "CUDAExecutionProvider",
            (("use_tf32", "0"), ("cudnn_conv_algo_search", "DEFAULT")),
            "cuda",
        ),
        ReferenceRuntime(),
    ),
    operators=_operators,
    timers=_timers,
)
