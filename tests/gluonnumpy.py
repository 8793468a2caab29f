"""Small Gluon networks of MXNet's NumPy mode as files, made by the real MXNet in a process of its own.

python tests/gluonnumpy.py FOLDER    writes FOLDER/NAME-symbol.json and …-0000.params
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SHAPES", "make"]

SHAPES: dict[str, list[tuple[int, ...]]] = {
    "perceptron": [(2, 8)],
    "convolutions": [(2, 3, 16, 16)],
    "transformer": [(2, 6, 8)],
    "functions": [(3, 4), (4,), (3, 4)],
    "truths": [(3, 4), (3, 4)],
    "shapes": [(2, 3, 4)],
    "statistics": [(3, 5)],
    "products": [(2, 3, 4), (4, 5)],
    "losses": [(4, 5), (4, 5)],
    "scalars": [(2, 3)],
    "recurrent": [(5, 2, 4), (1, 2, 6), (1, 2, 6)],
    "normal_flow": [(4, 6)],
}
"""Networks, and the shapes of their inputs."""


def make(folder: Path) -> dict[str, Path]:
    """Write all networks; the symbol file of each."""
    from realmxnet import python  # not where this file is the program, whose Python may lack what that needs

    subprocess.run([python(), "-W", "ignore", __file__, str(folder)], check=True)
    return {name: folder / f"{name}-symbol.json" for name in SHAPES}


def _networks(mx: Any) -> dict[str, Any]:
    """The networks, uninitialised."""
    nn = mx.gluon.nn

    class Call(mx.gluon.HybridBlock):  # type: ignore[misc]
        """A function of F and the inputs, with layers of its own."""

        def __init__(self, function: Callable[..., Any], constants: dict[str, Any] | None = None, **layers: Any):
            super().__init__()
            self._function = function
            for name, layer in layers.items():
                setattr(self, name, layer)
            for name, value in (constants or {}).items():
                setattr(self, name, self.params.get_constant(name, value))

        def hybrid_forward(self, F: Any, *inputs: Any, **parameters: Any) -> Any:  # noqa: N803 - MXNet's own name
            return self._function(F, self, *inputs, **parameters)

    def sequence(*layers: Any) -> Any:
        network = nn.HybridSequential()
        network.add(*layers)
        return network

    class Number(mx.init.Initializer):  # type: ignore[misc]
        def _init_weight(self, _name: str, array: Any) -> None:
            array[()] = 0.7

    class Scaled(mx.gluon.HybridBlock):  # type: ignore[misc]
        """A parameter without axes, which MXNet's own initialisers do not fill, and outputs without axes."""

        def __init__(self) -> None:
            super().__init__()
            self.temperature = self.params.get("temperature", shape=(), init=Number())
            self.table = self.params.get_constant("table", mx.np.array([[1.0, 2.0, 3.0]]))

        def hybrid_forward(self, F: Any, x: Any, temperature: Any, table: Any) -> Any:  # noqa: N803
            scaled = x / temperature + table
            return F.np.sum(scaled), F.np.max(scaled) > 1, F.np.argmax(scaled), scaled

    def attention(F: Any, block: Any, x: Any) -> Any:  # noqa: N803
        heads = [split_heads(F, layer(x)) for layer in (block.queries, block.keys, block.values)]
        scores = F.np.matmul(heads[0], F.np.swapaxes(heads[1], 2, 3)) / 2.0
        mixed = F.np.matmul(F.npx.softmax(scores, axis=-1), heads[2])
        x = block.first(x + block.out(F.npx.reshape(F.np.transpose(mixed, (0, 2, 1, 3)), (-2, -2, -1))))
        return block.second(x + block.down(F.npx.leaky_relu(block.up(x), act_type="gelu")))

    def split_heads(F: Any, x: Any) -> Any:  # noqa: N803
        return F.np.transpose(F.npx.reshape(x, (-2, -2, 2, -1)), (0, 2, 1, 3))

    def functions(F: Any, _block: Any, x: Any, y: Any, z: Any) -> Any:  # noqa: N803
        np = F.np
        a = np.exp(-(x**2) / 2) * y + z / (1 + np.abs(y))
        return (
            a,
            np.where(a > 0.1, a, np.tanh(a)),
            np.arctan2(x, z),
            np.clip(x, -0.5, 0.5),
            np.maximum(x, z) - np.minimum(x, 0.1),
            np.log1p(np.square(x)) + np.expm1(z) + np.cbrt(z) + np.sinh(x) * np.arctan(z),
            np.power(2.0, x) + np.true_divide(1, np.exp(x)) + np.hypot(x, z) + np.copysign(x, z),
            np.sin(x) * np.cos(z) + np.degrees(x) * np.radians(z) + np.arcsin(np.tanh(x)),
            np.fix(3 * x) + np.around(z, 1) + np.rint(x) + np.floor(x) - np.ceil(z) + np.sign(x),
            x % 0.7 + 1 - 2 * x - (3 - x) / 4,
            F.npx.relu(x) + F.npx.sigmoid(z) + F.npx.activation(x, act_type="softrelu"),
        )

    def truths(F: Any, _block: Any, x: Any, z: Any) -> Any:  # noqa: N803
        np = F.np
        above = x > z
        return (
            above,
            np.logical_not(above),
            np.equal(np.rint(x), np.rint(z)),
            np.isfinite(x / np.rint(z)),
            np.where(above, x, z),
            above * x,
            np.sum(above),
            np.argmax(x, axis=1),
            np.bitwise_xor(np.argmax(x, axis=1), np.argmin(z, axis=1)),
            F.npx.one_hot(np.argmax(x, axis=1), 4),
            F.npx.pick(x, np.argmax(z, axis=1)),
        )

    def shapes(F: Any, _block: Any, x: Any) -> Any:  # noqa: N803
        np = F.np
        first, second = np.split(x, 2, axis=2)
        return (
            np.concatenate([first, second], axis=1),
            np.stack([first, second], axis=0),
            np.expand_dims(x, 0),
            np.squeeze(np.expand_dims(x, 1), 1),
            np.tile(x, (1, 2, 1)),
            np.repeat(x, 2, axis=1),
            np.flip(x, 1),
            np.reshape(x, (-1, 12)),
            F.npx.batch_flatten(x),
            x * np.broadcast_to(np.ones((3, 1)), (3, 4)),
            np.ones_like(x) + np.zeros_like(x),
            F.npx.slice(x, begin=(None, 1), end=(None, 3)),
            np.moveaxis(x, 0, 2),
            np.roll(x, 1, axis=2),
        )

    def statistics(F: Any, _block: Any, x: Any) -> Any:  # noqa: N803
        np = F.np
        centred = x - np.mean(x, axis=1, keepdims=True)
        return (
            centred / np.sqrt(np.mean(centred**2, axis=1, keepdims=True) + 1e-5),
            np.var(x, axis=0),
            np.std(x, axis=1),
            np.max(x, axis=0),
            np.min(x),
            np.prod(x, axis=1),
            np.cumsum(x, axis=1),
            F.npx.log_softmax(x, axis=1),
        )

    def products(F: Any, _block: Any, x: Any, y: Any) -> Any:  # noqa: N803
        np = F.np
        return np.dot(x, y), np.matmul(x, y), np.einsum("ijk,kl->il", x, y), np.tensordot(x, y, ((2,), (0,)))

    def losses(F: Any, block: Any, x: Any, y: Any) -> Any:  # noqa: N803
        classes = F.np.argmax(y, axis=1)
        return block.squares(x, y), block.logits(x, F.npx.sigmoid(y)), block.classes(x, classes)

    def flow(F: Any, block: Any, x: Any) -> Any:  # noqa: N803
        """An affine coupling, and the logarithm of the density under a normal distribution."""
        kept, moved = F.np.split(x, 2, axis=1)
        scale, shift = F.np.split(block.net(kept), 2, axis=1)
        y = moved * F.np.exp(F.np.tanh(scale)) + shift
        both = F.np.concatenate([kept, y], axis=1)
        return both, F.np.sum(-0.5 * both**2 - 0.9189385332046727, axis=1) + F.np.sum(F.np.tanh(scale), axis=1)

    loss = mx.gluon.loss
    dense = nn.Dense
    return {
        "perceptron": sequence(dense(16, activation="relu"), nn.Dropout(0.3), dense(4)),
        "convolutions": sequence(
            nn.Conv2D(8, 3, padding=1),
            nn.BatchNorm(),
            nn.Activation("relu"),
            nn.MaxPool2D(2),
            nn.Conv2D(8, 3, strides=2),
            nn.Swish(),
            nn.Conv2DTranspose(4, 2),
            nn.AvgPool2D(2),
            nn.SELU(),
            nn.GlobalAvgPool2D(),
            nn.Flatten(),
            dense(5),
        ),
        "transformer": Call(
            attention,
            queries=dense(8, flatten=False),
            keys=dense(8, flatten=False),
            values=dense(8, flatten=False),
            out=dense(8, flatten=False),
            first=nn.LayerNorm(),
            up=dense(16, flatten=False),
            down=dense(8, flatten=False),
            second=nn.LayerNorm(),
        ),
        "functions": Call(functions),
        "truths": Call(truths),
        "shapes": Call(shapes),
        "statistics": Call(statistics),
        "products": Call(products),
        "losses": Call(
            losses,
            squares=loss.L2Loss(),
            logits=loss.SigmoidBinaryCrossEntropyLoss(),
            classes=loss.SoftmaxCrossEntropyLoss(),
        ),
        "scalars": Scaled(),
        "recurrent": Call(lambda _, block, x, h, c: block.layer(x, [h, c]), layer=mx.gluon.rnn.LSTM(6, input_size=4)),
        "normal_flow": Call(flow, net=sequence(dense(8, activation="tanh"), dense(6))),
    }


def _main(folder: str) -> None:
    from graphkit.frameworks.mxnet.worker import main

    main.import_mxnet(fast=False)
    mx = main.mx
    mx.npx.set_np()
    mx.random.seed(0)
    for name, network in _networks(mx).items():
        network.initialize(mx.init.Normal(0.3))
        network.hybridize()
        network(*[mx.np.random.uniform(-1, 1, shape) for shape in SHAPES[name]])
        network.export(str(Path(folder) / name))


if __name__ == "__main__":
    _main(sys.argv[1])
