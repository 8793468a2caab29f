"""MXNet: symbols and parameter files read and written natively, MXNet itself only ever run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkit.frameworks.base import About, Framework, ReadOptions, WriteOptions
from graphkit.frameworks.mxnet.run import RUNTIME

if TYPE_CHECKING:
    import onnx_ir as ir

    from graphkit.frameworks.support import Support
    from graphkit.frameworks.timing import Timer

__all__ = ["FRAMEWORK"]


def _recognises(source: Any) -> bool:
    if isinstance(source, str | Path):
        return Path(source).suffix == ".json"
    from graphkit.frameworks.mxnet import objects

    return objects.recognises(source)


def _read(source: Any, options: ReadOptions) -> ir.Model:
    from graphkit.files import steady
    from graphkit.frameworks.mxnet import checkpoint, objects
    from graphkit.frameworks.mxnet.read import from_symbol
    from graphkit.ir.canonical import canonical
    from graphkit.ir.origin import Source, set_source

    if isinstance(source, str | Path):
        path = Path(source)
        with steady(path, *filter(None, [options.params])):
            mx = checkpoint.read(path, options)
        name, label = checkpoint.prefix_of(path).name, path.name
    else:
        mx, options, name = objects.read(source, options)
        label = name
    model = from_symbol(mx, options, name)
    set_source(model, Source("mxnet", label, mx))
    return canonical(model)


def _look(source: Any, options: ReadOptions, raw: bool) -> ir.Model:
    from graphkit.frameworks.mxnet.look import look

    return look(source, options, raw)


def _about(source: Any, options: ReadOptions, model: ir.Model) -> About:
    from graphkit.frameworks.mxnet.about import about

    return about(source, options, model)


def _write(model: ir.Model, output: Path, options: WriteOptions) -> list[Path]:
    from graphkit.frameworks.mxnet import checkpoint
    from graphkit.frameworks.mxnet.write import to_symbol

    files = checkpoint.write(to_symbol(model, options.warn), checkpoint.prefix_of(output), options.record)
    if (newest := checkpoint.newest_params(files[0])) != files[1]:
        options.warn(
            f"{newest} lies beside what was written and counts as newer: move it away, or read what was written with "
            f"--params {files[1]}."
        )
    return files


def _check(model: ir.Model, options: WriteOptions) -> None:
    from graphkit.frameworks.mxnet import params, symbol
    from graphkit.frameworks.mxnet.write import to_symbol

    mx = to_symbol(model, options.warn)
    symbol.dumps(mx.graph)
    params.check({**mx.args, **mx.aux})


def _operators() -> list[Support]:
    from graphkit.frameworks.mxnet.support import operators

    return operators()


def _timers() -> tuple[Timer, ...]:
    from graphkit.frameworks.mxnet.timing import TIMERS

    return TIMERS


FRAMEWORK = Framework(
    name="mxnet",
    label="MXNet",
    recognises=_recognises,
    read=_read,
    look=_look,
    about=_about,
    write=_write,
    check=_check,
    runtimes=(RUNTIME,),
    operators=_operators,
    timers=_timers,
)
