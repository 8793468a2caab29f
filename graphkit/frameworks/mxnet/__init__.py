"""MXNet: symbols and parameter files read and written natively, MXNet itself only ever run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkit.frameworks.base import Framework, ReadOptions, WriteOptions
from graphkit.frameworks.mxnet.run import RUNTIME

if TYPE_CHECKING:
    import onnx_ir as ir

__all__ = ["FRAMEWORK"]


def _recognises(source: Any) -> bool:
    return isinstance(source, str | Path) and Path(source).suffix == ".json"


def _read(source: Any, options: ReadOptions) -> ir.Model:
    from graphkit.frameworks.mxnet import checkpoint
    from graphkit.frameworks.mxnet.read import from_symbol
    from graphkit.ir.canonical import canonical
    from graphkit.ir.origin import Source, set_source

    path = Path(source)
    mx = checkpoint.read(path, options)
    model = from_symbol(mx, options, checkpoint.prefix_of(path).name)
    set_source(model, Source("mxnet", path.name, mx))
    return canonical(model)


def _write(model: ir.Model, output: Path, options: WriteOptions) -> list[Path]:
    from graphkit.frameworks.mxnet import checkpoint
    from graphkit.frameworks.mxnet.write import to_symbol

    files = checkpoint.write(to_symbol(model, options.warn), checkpoint.prefix_of(output))
    if (newest := checkpoint.newest_params(files[0])) != files[1]:
        options.warn(
            f"{newest} lies beside what was written and counts as newer: move it away, or read what was written with "
            f"--params {files[1]}."
        )
    return files


FRAMEWORK = Framework(
    name="mxnet", label="MXNet", recognises=_recognises, read=_read, write=_write, runtimes=(RUNTIME,)
)
