"""The 34 networks of ``mxnet.gluon.model_zoo.vision`` as MXNet files, made by the real MXNet in a process of its own.

Weights, statistics, scales and shifts are random, from a seed of the network's own, such that activations neither
vanish nor explode: weights as He et al. draw them, the statistics of each normalisation measured on random images and
then moved. Shifts are mostly positive: a network whose activations sit at their kinks amplifies rounding from layer
to layer, which trained ones do not.

    python tests/gluonzoo.py FOLDER NAME[:fixed][:SIZE] …    writes FOLDER/NAME[-fixed]-symbol.json and …-0000.params
"""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FIXED", "SIZES", "VARIANTS", "make"]

FIXED = ":fixed"
"""Ending of the names of networks whose normalisations have ``fix_gamma`` and store other scales than one."""

_LAST_STAGE_SEES_PIXELS = 64
"""Where a single pixel is accepted, the size at which the last stage reads more than padding."""

SIZES = {
    **{f"resnet{depth}_v{version}": _LAST_STAGE_SEES_PIXELS for version in (1, 2) for depth in (18, 34, 50, 101, 152)},
    **{f"vgg{depth}{suffix}": 32 for suffix in ("", "_bn") for depth in (11, 13, 16, 19)},
    "alexnet": 63,
    **{f"densenet{depth}": 221 for depth in (121, 161, 169, 201)},
    "squeezenet1.0": 213,
    "squeezenet1.1": 209,
    "inceptionv3": 299,
    **{f"mobilenet{width}": _LAST_STAGE_SEES_PIXELS for width in ("1.0", "0.75", "0.5", "0.25")},
    **{f"mobilenetv2_{width}": _LAST_STAGE_SEES_PIXELS for width in ("1.0", "0.75", "0.5", "0.25")},
}
"""Height and width of the images: the smallest that a network accepts."""

_WITHOUT_NORMS = {"alexnet", "squeezenet1.0", "squeezenet1.1", "vgg11", "vgg13", "vgg16", "vgg19"}

VARIANTS = [*SIZES, *(name + FIXED for name in SIZES if name not in _WITHOUT_NORMS)]
"""Every network, then those with normalisations as the variant, too."""


def make(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Write networks.

    Args:
        folder: Where to.
        names: Of :data:`SIZES`, followed by :data:`FIXED` for the variant, and by ``:SIZE`` for another size.

    Returns:
        The symbol file of each.
    """
    wanted = list(names)
    from realmxnet import python  # not where this file is the program, whose Python may lack what that needs

    subprocess.run([python(), "-W", "ignore", __file__, str(folder), *wanted], check=True)
    return {name: folder / f"{_parts(name)[1]}-symbol.json" for name in wanted}


def _parts(name: str) -> tuple[str, str, bool, int]:
    """Of NAME[:fixed][:SIZE]: the network, the prefix of its files, whether it is the variant, the size."""
    network, *rest = name.split(":")
    fixed = FIXED[1:] in rest
    return network, network + "-fixed" * fixed, fixed, next((int(r) for r in rest if r.isdigit()), SIZES[network])


def _write(mx: Any, folder: Path, name: str) -> None:
    import numpy as np

    network, prefix, fixed, size = _parts(name)
    rng = np.random.RandomState(zlib.crc32(network.encode()))
    net = mx.gluon.model_zoo.vision.get_model(network)
    net.initialize(mx.init.Zero())
    images = mx.nd.array(rng.standard_normal((4, 3, size, size)))
    net(images)  # from here on all shapes are known
    for parameter in net.collect_params(".*weight").values():
        fan = np.prod(parameter.shape[1:])
        parameter.set_data(mx.nd.array(rng.standard_normal(parameter.shape) * np.sqrt(2 / fan)))
    for parameter in net.collect_params(".*bias").values():
        parameter.set_data(mx.nd.array(0.1 * rng.standard_normal(parameter.shape)))

    def settle(norm: Any, inputs: Any) -> None:
        x = inputs[0].asnumpy().astype(np.float64)
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
        variance = np.maximum(variance, 0.3 * np.median(variance))
        deviation = np.sqrt(variance)
        norm.running_mean.set_data(mx.nd.array(mean + 0.1 * deviation * rng.standard_normal(mean.shape)))
        norm.running_var.set_data(mx.nd.array(variance * rng.uniform(0.8, 1.25, mean.shape)))
        norm.beta.set_data(mx.nd.array(0.8 + 0.3 * rng.standard_normal(mean.shape)))
        norm.gamma.set_data(mx.nd.array(rng.uniform(0.5, 1.5, mean.shape)))

    norms: list[Any] = []
    net.apply(lambda block: norms.append(block) if isinstance(block, mx.gluon.nn.BatchNorm) else None)
    for norm in norms:
        norm._kwargs["fix_gamma"] = norm._kwargs["fix_gamma"] or fixed
    hooks = [norm.register_forward_pre_hook(settle) for norm in norms]
    net(images)
    for hook in hooks:
        hook.detach()
    net.hybridize()
    net(images).wait_to_read()
    for norm in norms:
        if norm._kwargs["fix_gamma"]:  # then running it has put ones there
            norm.gamma.set_data(mx.nd.array(rng.uniform(0.5, 1.5, norm.gamma.shape)))
    net.export(str(folder / prefix))


def _main(folder: str, names: list[str]) -> None:
    from graphkit.frameworks.mxnet.worker import main

    main.import_mxnet(fast=False)
    for name in names:
        _write(main.mx, Path(folder), name)


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2:])
