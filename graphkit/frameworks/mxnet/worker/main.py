"""Runs MXNet for graphkit, in a process of its own: ``python main.py [--fast]``.

This file is complete by itself (standard library, numpy and mxnet) and keeps to Python 3.6, so that any interpreter
that has MXNet can run it. Requests arrive on stdin and answers leave on stdout, each a frame:

    4 bytes  "GKMX"
    u32      length of the header, little-endian
    header   JSON; its "arrays" lists [name, dtype, shape] of the arrays that follow
    arrays   their elements, C order, little-endian, one array after the other

A request's "command" is the name of a function below, without ``do_``. An answer has "ok"; where that is false, "error"
says why, "kind" is the exception's class and "trace" its traceback. An answer has the "number" of its request, and that
which tells that the process is ready 0. Whatever MXNet or Python prints goes to stderr. The process ends when stdin is
closed.

Matrix products are computed by AVX2 or AVX-512 where the processor has it: :func:`name_processor`.

Without ``--fast`` MXNet's default settings that make its numbers wrong are turned off: oneDNN (gradients through max
pooling in inference mode), its RNN and graph fusion. With it they stay on, for timing.
"""

import ctypes
import json
import os
import resource
import select
import signal
import struct
import sys
import threading
import time
import traceback
import types
import warnings
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

EXACT = {"MXNET_MKLDNN_ENABLED": "0", "MXNET_USE_MKLDNN_RNN": "0", "MXNET_SUBGRAPH_BACKEND": "NONE"}
QUIET = {"MXNET_STORAGE_FALLBACK_LOG_VERBOSE": "0", "MXNET_SUBGRAPH_VERBOSE": "0"}
CONTROL_FLOW = ("_cond", "_foreach", "_while_loop")
MAGIC = b"GKMX"
BFLOAT16 = "bfloat16"

mx: Any = None
np: Any = None
USED = {"base": 0, "first": 0}
"""Bytes of memory that the process has once MXNet is imported, and at most beyond that until the end of a first run."""


class RefusedError(Exception):
    """An array that is given, or is not, and that MXNet cannot take."""


def import_mxnet(fast: bool) -> List[str]:
    """Set MXNet's environment, repair what newer Pythons and numpys took from it, import it; return the repairs."""
    global mx, np
    os.environ.update(QUIET)
    if not fast:
        os.environ.update(EXACT)
    name_processor()
    import numpy as np

    repairs = repair_python() + repair_numpy()
    import mxnet as mx

    return repairs


def name_processor() -> None:
    """Tell OpenBLAS what kernels the processor can run, unless the user does.

    That of MXNet 1.9.1's wheels, 0.3.13, takes the kernels of 2004's Prescott (SSE3) on processors that it does not
    know, such as those made after it, and is less than half as fast. Told SkylakeX it takes those for AVX-512 or, if it
    was built without them, for AVX2.
    """
    try:
        with open("/proc/cpuinfo") as file:
            flags = set(next((line for line in file if line.startswith("flags")), "").split())
    except OSError:
        return
    if {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"} <= flags:
        os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")
    elif {"avx2", "fma"} <= flags:
        os.environ.setdefault("OPENBLAS_CORETYPE", "Haswell")


def blas_kernels() -> str:
    """What processor MXNet's OpenBLAS computes for, as it calls it; empty where there is none that tells."""
    home = os.path.dirname(os.path.abspath(mx.__file__))
    try:
        with open("/proc/self/maps") as file:
            mapped = {line.split(None, 5)[5].strip() for line in file if "openblas" in line}
        library = ctypes.CDLL(next(path for path in sorted(mapped) if path.startswith(home + os.sep)))
        library.openblas_get_corename.restype = ctypes.c_char_p
        return str(library.openblas_get_corename().decode())
    except (OSError, StopIteration, AttributeError):
        return ""


def repair_python() -> List[str]:
    """Stand in for ``distutils``, gone from Python 3.12, with which MXNet compares version numbers."""
    try:
        import distutils.version  # noqa: F401
    except ImportError:
        module = types.ModuleType("distutils.version")
        module.__dict__.update(LooseVersion=leading_numbers, StrictVersion=leading_numbers)
        package = types.ModuleType("distutils")
        package.__dict__.update(version=module)
        sys.modules.update({"distutils": package, "distutils.version": module})
        return ["distutils"]
    return []


def leading_numbers(version: str) -> Tuple[int, ...]:
    """The numbers that a version starts with: "1.17.0rc1" gives (1, 17)."""
    numbers: List[int] = []
    for part in version.split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def repair_numpy() -> List[str]:
    """Give numpy back the names that it dropped in 1.24 and 2.x and that MXNet looks up while it is imported."""
    dropped: Dict[str, Any] = {
        "bool": bool,
        "Inf": float("inf"),
        "NAN": float("nan"),
        "NINF": float("-inf"),
        "NZERO": -0.0,
        "NaN": float("nan"),
        "PINF": float("inf"),
        "PZERO": 0.0,
        "alltrue": lambda *args, **kwargs: np.all(*args, **kwargs),
        "in1d": lambda first, second, **kwargs: np.isin(np.ravel(first), second, **kwargs),
        "msort": lambda array: np.sort(array, axis=0),
        "product": lambda *args, **kwargs: np.prod(*args, **kwargs),
        "round_": lambda *args, **kwargs: np.round(*args, **kwargs),
        "sometrue": lambda *args, **kwargs: np.any(*args, **kwargs),
        "trapz": lambda *args, **kwargs: np.trapezoid(*args, **kwargs),
    }
    for name in ("mirr", "npv", "pmt", "ppmt", "pv", "rate"):
        dropped[name] = expired(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        missing = [name for name in sorted(dropped) if not hasattr(np, name)]
    for name in missing:
        setattr(np, name, dropped[name])
    return ["numpy." + name for name in missing]


def expired(name: str) -> Callable[..., Any]:
    """A function that numpy no longer has and that nothing should call."""

    def function(*_args: Any, **_kwargs: Any) -> Any:
        raise RuntimeError("numpy." + name + " is no longer part of numpy")

    return function


class Channel:
    """Frames in and out."""

    def __init__(self, source: int, target: int) -> None:
        self._source = open(source, "rb", buffering=0)
        self._target = open(target, "wb", buffering=0)

    def receive(self) -> Tuple[Dict[str, Any], Dict[str, Any]]:
        """The next request and its arrays; EOFError when there is none."""
        magic, length = struct.unpack("<4sI", self._read(bytearray(8)))
        if magic != MAGIC:
            raise EOFError
        header = json.loads(bytes(self._read(bytearray(length))).decode("utf-8"))
        arrays = {}
        for name, dtype, shape in header.pop("arrays", []):
            array = np.empty(shape, numpy_dtype(dtype))
            if array.nbytes:
                self._read(array.reshape(-1).view(np.uint8))
            arrays[name] = array
        return header, arrays

    def send(self, header: Dict[str, Any], arrays: Sequence[Tuple[str, Any]] = ()) -> None:
        """Answer, with named MXNet arrays, which are brought over one at a time."""
        dtypes = [dtype_name(np.dtype(array.dtype)) for _, array in arrays]
        header["arrays"] = [[name, dtype, array.shape] for (name, array), dtype in zip(arrays, dtypes)]
        text = json.dumps(header).encode("utf-8")
        self._write(struct.pack("<4sI", MAGIC, len(text)) + text)
        for _, array in arrays:
            elements = np.ascontiguousarray(array.asnumpy())
            if elements.nbytes:
                self._write(elements.reshape(-1).view(np.uint8))

    def _read(self, buffer: Any) -> Any:
        view = memoryview(buffer)
        while len(view):
            count = self._source.readinto(view)
            if not count:
                raise EOFError
            view = view[count:]
        return buffer

    def _write(self, buffer: Any) -> None:
        view = memoryview(buffer)
        while len(view):
            view = view[self._target.write(view) or 0 :]


def numpy_dtype(name: str) -> Any:
    """The numpy dtype of a wire name, as MXNet represents it."""
    return np.dtype([(BFLOAT16, np.uint16)]) if name == BFLOAT16 else np.dtype(name)


def dtype_name(dtype: Any) -> str:
    """The wire name of a numpy dtype."""
    return BFLOAT16 if dtype.names else str(dtype.name)


class Model:
    """Arrays, and the symbols that they are run with. Running never changes them: what MXNet writes to is copied."""

    def __init__(self, arrays: Dict[str, Any], written: Sequence[str], np_shape: bool) -> None:
        self.np_shape = np_shape
        self._written = set(written)
        self._symbols: Dict[Tuple[str, bool], Symbol] = {}
        with mx.util.np_shape(np_shape):
            self.values = {name: self.put(arrays.pop(name)) for name in list(arrays)}

    def put(self, array: Any) -> Any:
        """An array in MXNet's memory."""
        shape = array.shape
        if not self.np_shape and (array.size == 0 or not shape):
            if array.size == 0:
                raise RefusedError("MXNet has no arrays without elements, and one of shape {} was given".format(shape))
            shape = (1,)
        try:
            held = mx.nd.empty(shape, dtype=array.dtype)
        except (KeyError, TypeError) as error:
            name = dtype_name(array.dtype)
            raise RefusedError("MXNet {} has no arrays of {}".format(mx.__version__, name)) from error
        held._sync_copyfrom(array.reshape(shape))
        return held

    def cotangent(self, seed: Any, output: Any) -> Any:
        """The cotangent of an output in MXNet's memory."""
        held = self.put(seed)
        if held.shape != output.shape:
            raise RefusedError("a cotangent has shape {}, its output {}".format(seed.shape, output.shape))
        return held

    def symbol(self, text: str, static: bool = False) -> "Symbol":
        """A symbol, compiled once."""
        key = (text, static)
        if key not in self._symbols:
            self._symbols[key] = Symbol(text, static)
        return self._symbols[key]

    def bind(
        self, symbol: "Symbol", inputs: Dict[str, Any], fill: Sequence[str], later: Sequence[str] = ()
    ) -> Dict[str, Any]:
        """Array of each of a symbol's variables; those named in ``fill`` are zeros of the inferred shape.

        Those named in ``later`` are left out.
        """
        names = set(symbol.variables).difference(later)
        missing = [name for name in symbol.variables if name in names.difference(inputs, self.values)]
        absent = [name for name in missing if name not in fill]
        if absent:
            raise RefusedError("no value is given for " + ", ".join(sorted(set(absent))))
        given = {name: value for name, value in self.values.items() if name in names}
        given.update((name, self.put(inputs.pop(name))) for name in names.intersection(inputs))
        if missing:
            given.update(self._zeros(symbol, given, missing))
        written = self._written.union(symbol.states)
        return {name: given[name].copy() if name in written else given[name].detach() for name in names}

    def _zeros(self, symbol: "Symbol", given: Dict[str, Any], names: Sequence[str]) -> Dict[str, Any]:
        found = symbol.shapes({name: value.shape for name, value in given.items()})
        floats = [array.dtype for array in given.values() if "float" in str(np.dtype(array.dtype))]
        unknown = [name for name in names if not self._known(found.get(name))]
        if unknown:
            raise RefusedError("no value is given for " + ", ".join(unknown) + ", and MXNet cannot tell the shape")
        return {name: mx.nd.zeros(found[name], dtype=floats[0] if floats else "float32") for name in names}

    def _known(self, shape: Optional[Tuple[int, ...]]) -> bool:
        if shape is None:
            return False
        if self.np_shape:
            return min(shape, default=0) >= 0
        return min(shape, default=0) > 0


class Trainer:
    """Arrays of a model that training changes, with MXNet's own optimizer."""

    def __init__(self, model: Model, symbol: "Symbol", request: Dict[str, Any]) -> None:
        self.model, self.symbol = model, symbol
        names, rule = request["wrt"], request["rule"]
        self.names = [name for name in names if name in symbol.variables]
        self.values = {name: model.values[name].copy() for name in self.names + symbol.states}
        for name in self.names:
            self.values[name].attach_grad()
        known = {"lr": "learning_rate", "weight_decay": "wd"}
        settings = {known.get(name, name): number for name, number in rule.items()}
        self._frozen = [name for name in request["frozen"] if name in symbol.variables and name not in self.values]
        self._optimizer = mx.optimizer.create(request["optimizer"], rescale_grad=1.0, **settings)
        self._update = mx.optimizer.get_updater(self._optimizer)

    def step(self, arrays: Dict[str, Any], request: Dict[str, Any]) -> Tuple[List[Any], Any]:
        """Train on a batch; the outputs before the step, and the loss if it is one of targets."""
        targets = {n: arrays.pop("target:" + n) for n in request["scales"]}
        values = self.model.bind(self.symbol, arrays, request["fill"])
        values.update(self.values)
        for name in self._frozen:
            values[name].attach_grad()
        loss = None
        with mx.autograd.record(train_mode=True):
            outputs = self.symbol(values)
            for n, target in targets.items():
                part = self._part(request["loss"], outputs[int(n)], request["scales"][n], target)
                loss = part if loss is None else loss + part
            if loss is not None:
                loss = loss * request["weight"]
        if loss is not None:
            mx.autograd.backward([loss], train_mode=True)
        else:
            ends = [(outputs[int(n)], number) for n, number in request["cotangents"].items()]
            mx.autograd.backward(
                [end for end, _ in ends], [mx.nd.ones_like(end) * number for end, number in ends], train_mode=True
            )
        self.symbol.pull(values, train=True)
        self._optimizer.rescale_grad = request["weight"] if loss is None else 1.0
        for name, number in request["settings"].items():
            setattr(self._optimizer, name, number)
        for index, name in enumerate(self.names):
            self._update(index, self.values[name].grad, self.values[name])
        return outputs, loss

    def _part(self, loss: str, output: Any, scale: float, target: Any) -> Any:
        """What one output adds to the loss."""
        shape = output.shape[:1] + output.shape[2:] if loss == "cross-entropy" else output.shape
        if self.model.put(target).shape != shape:
            raise RefusedError("a target has shape {}, its output {}".format(target.shape, output.shape))
        if loss == "mse":
            return mx.nd.square(output * scale - self.model.put(target)).mean() * 0.5
        if target.size and not 0 <= target.min() <= target.max() < output.shape[1]:
            raise RefusedError("a target holds numbers that are no classes of its output {}".format(output.shape))
        logs = mx.nd.log_softmax(output * scale, axis=1)
        return -mx.nd.pick(logs, self.model.put(target), axis=1).mean()


class Symbol:
    """A symbol that can be called with an array for each of its variables."""

    def __init__(self, text: str, static: bool) -> None:
        self._symbol = mx.sym.load_json(text)
        self.variables = self._symbol.list_inputs()
        self.states = self._symbol.list_auxiliary_states()
        self._run: Any = None
        self._flows = any('"{}"'.format(op) in text for op in CONTROL_FLOW)
        flags = [("static_alloc", True), ("static_shape", True)] if static else []
        try:
            self._op, self._reason = mx.nd.CachedOp(self._symbol, flags), ""
        except mx.MXNetError as error:  # no variable to differentiate in, or an operator without a gradient
            self._op, self._reason = None, str(error)

    def _executed(self, values: Dict[str, Any]) -> List[Any]:
        """The outputs by an executor; a CachedOp often cannot be differentiated where it has loops or branches."""
        with mx.autograd.pause(train_mode=mx.autograd.is_training()):
            arrays = [values[name].detach() for name in self._symbol.list_arguments()]  # names may repeat
            slopes = [mx.nd.zeros_like(array) for array in arrays]
            held = {name: values[name] for name in self.states}
            executor = self._symbol.bind(mx.cpu(), arrays, args_grad=slopes, aux_states=held)
            outputs = [output.copy() for output in executor.forward(is_train=mx.autograd.is_training())]
            for output in outputs:
                output.wait_to_read()  # only then MXNet knows the shapes
        for output in outputs:
            output.attach_grad()
        self._run = executor, slopes, outputs
        return [mx.nd.identity(output) for output in outputs]

    def pull(self, values: Dict[str, Any], train: bool) -> None:
        """After a backward pass, take it through what was run by an executor."""
        if self._run is None:
            return
        executor, slopes, outputs = self._run
        self._run = None
        executor.backward([output.grad for output in outputs], is_train=train)
        for name in self.variables:
            if values[name].grad is not None:
                values[name].grad[:] = 0
        for name, slope in zip(self._symbol.list_arguments(), slopes):
            if values[name].grad is not None:
                values[name].grad[:] += slope

    def differentiable(self) -> None:
        """Raise what MXNet says against a backward pass, if anything."""
        if self._op is None:
            raise mx.MXNetError(self._reason)

    def shapes(self, known: Dict[str, Tuple[int, ...]]) -> Dict[str, Tuple[int, ...]]:
        """Shapes of the variables, as far as they follow from the known ones."""
        arguments, _, states = self._symbol.infer_shape_partial(**known)
        names = self._symbol.list_arguments() + self.states
        return dict(zip(names, (arguments or []) + (states or [])))

    def __call__(self, values: Dict[str, Any]) -> List[Any]:
        """The outputs."""
        if self._flows and mx.autograd.is_recording():
            return self._executed(values)
        if self._op is not None:
            outputs = self._op(*[values[name] for name in self.variables])
            return outputs if isinstance(outputs, list) else [outputs]
        return list(self.executor(values).forward(is_train=mx.autograd.is_training()))

    def executor(self, values: Dict[str, Any]) -> Any:
        """An executor of the forward pass on the values of its variables."""
        states = {name: values[name] for name in self.states}
        arguments = {name: value for name, value in values.items() if name not in states}
        return self._symbol.bind(mx.cpu(), arguments, grad_req="null", aux_states=states)


def behaving(train: bool) -> Any:
    """Scope in which operators behave as in training or as in inference, without being recorded."""
    return mx.autograd.train_mode() if train else mx.autograd.predict_mode()


MODELS: Dict[int, Model] = {}
TRAINERS: Dict[int, Trainer] = {}
Answer = Tuple[Dict[str, Any], List[Tuple[str, Any]]]


def do_open(request: Dict[str, Any], arrays: Dict[str, Any]) -> Answer:
    """Open a model, whose arguments and auxiliary states the arrays are.

    "symbol" is the symbol's JSON; "written" names arguments that MXNet writes to though it should not; "np_shape" is
    whether the symbol was made for MXNet's NumPy mode.
    """
    model = Model(arrays, request["written"], request["np_shape"])
    with mx.util.np_shape(model.np_shape):
        model.symbol(request["symbol"])
    number = max(MODELS, default=0) + 1
    MODELS[number] = model
    return {"model": number}, []


def do_close(request: Dict[str, Any], _arrays: Dict[str, Any]) -> Answer:
    """Forget a model."""
    MODELS.pop(request["model"], None)
    TIMINGS.pop(request["model"], None)
    return {}, []


def do_forward(request: Dict[str, Any], arrays: Dict[str, Any]) -> Answer:
    """Compute the outputs of "symbol", answered as "0", "1", … in its order.

    The arrays are the inputs; "fill" names variables that get zeros; "train" is the mode, "seed" the random seed.
    """
    model = MODELS[request["model"]]
    with mx.util.np_shape(model.np_shape):
        symbol = model.symbol(request["symbol"])
        values = model.bind(symbol, arrays, request["fill"])
        mx.random.seed(request["seed"])
        with behaving(request["train"]):
            outputs = symbol(values)
        return {}, [(str(number), finished(output)) for number, output in enumerate(outputs)]


def do_backward(request: Dict[str, Any], arrays: Dict[str, Any]) -> Answer:
    """Gradients of the sum over N of "seed:N" times output N, in the variables "wrt", answered as "grad:NAME".

    "marks", if there are any, are further such variables, which are zero; they have the shapes of the outputs of the
    symbol "measure". In training mode the auxiliary states after the step are answered, too, as "state:NAME". Otherwise
    as :func:`do_forward`.
    """
    model = MODELS[request["model"]]
    train = request["train"]
    marks = request.get("marks", [])
    seeds = {name: arrays.pop(name) for name in list(arrays) if name.startswith("seed:")}
    with mx.util.np_shape(model.np_shape):
        symbol = model.symbol(request["symbol"])
        values = model.bind(symbol, arrays, request["fill"], marks)
        if marks:
            measured = model.symbol(request["measure"])
            inner = {name: values[name].copy() for name in measured.variables}
            mx.random.seed(request["seed"])
            with behaving(train):
                values.update((name, mx.nd.zeros_like(y)) for name, y in zip(marks, measured(inner)))
        wanted = [name for name in request["wrt"] + marks if name in values]
        if wanted:
            symbol.differentiable()
        for name in wanted:
            values[name].attach_grad()
        mx.random.seed(request["seed"])
        with mx.autograd.record(train_mode=train) if wanted else behaving(train):
            outputs = symbol(values)
        seeded = {n: output for n, output in enumerate(outputs) if "seed:{}".format(n) in seeds}
        if wanted and seeded:
            cotangents = [model.cotangent(seeds["seed:{}".format(n)], y) for n, y in seeded.items()]
            mx.autograd.backward(list(seeded.values()), cotangents, train_mode=train)
            symbol.pull(values, train)
        found = [("grad:" + name, finished(values[name].grad)) for name in wanted]
        if train:
            found += [("state:" + name, finished(values[name])) for name in symbol.states]
        return {}, found


def do_begin(request: Dict[str, Any], _arrays: Dict[str, Any]) -> Answer:
    """Begin to train copies of a model's arguments "wrt", and of its auxiliary states.

    Arguments "frozen" have gradients, too, but stay: BatchNorm moves its statistics in its backward pass, which
    autograd leaves out where nothing before it has gradients, and Module does not. "optimizer" is MXNet's name of one,
    "rule" holds its numbers.
    """
    model = MODELS[request["model"]]
    with mx.util.np_shape(model.np_shape):
        symbol = model.symbol(request["symbol"])
        symbol.differentiable()
        trainer = Trainer(model, symbol, request)
    number = max(TRAINERS, default=0) + 1
    TRAINERS[number] = trainer
    return {"trainer": number}, []


def do_step(request: Dict[str, Any], arrays: Dict[str, Any]) -> Answer:
    """Make one step of training; answer the outputs before it and, as "value:NAME", all that it changes after it.

    The arrays are the inputs and, as "target:N", the targets of outputs. With targets the loss is summed over N, taken
    times "weight", and answered as "loss": for "loss" "mse" half the mean of (output N times its number in "scales"
    minus target N) squared, for "cross-entropy" the mean of minus log softmax of that product along axis 1, of the
    classes in target N. Without, gradients flow from each output N with its number in "cotangents", and are taken times
    "weight". "fill" names variables that get zeros; "settings" are attributes of the optimizer that have other values
    from this step on.
    """
    trainer = TRAINERS[request["trainer"]]
    with mx.util.np_shape(trainer.model.np_shape):
        outputs, loss = trainer.step(arrays, request)
        found = [(str(number), finished(output)) for number, output in enumerate(outputs)]
        found += [("value:" + name, finished(value)) for name, value in trainer.values.items()]
        return {}, found + ([] if loss is None else [("loss", finished(loss))])


def do_end(request: Dict[str, Any], _arrays: Dict[str, Any]) -> Answer:
    """Forget what was trained."""
    TRAINERS.pop(request["trainer"], None)
    return {}, []


class Timing:
    """A symbol bound to arrays that stay, to be run again and again.

    Without gradients it is run by an executor, which fuses graphs. With gradients memory is planned once, as a
    hybridized Gluon network with ``static_alloc`` and ``static_shape`` does.
    """

    def __init__(self, model: Model, text: str, arrays: Dict[str, Any], request: Dict[str, Any]) -> None:
        seeds = {name: arrays.pop(name) for name in list(arrays) if name.startswith("seed:")}
        self.model = model
        self._symbol = model.symbol(text, static=True)
        self._train = request["train"]
        self._values = model.bind(self._symbol, arrays, request["fill"])
        self._wanted = [name for name in request["wrt"] if name in self._values]
        self._executor: Any = None
        if self._wanted:
            self._symbol.differentiable()
        else:
            self._executor = self._symbol.executor(self._values)
        for name in self._wanted:
            self._values[name].attach_grad()
        self._seeds = {int(name.partition(":")[2]): model.put(seed) for name, seed in seeds.items()}
        self.outputs: List[Any] = []
        mx.nd.waitall()

    def call(self) -> None:
        """Compute, and wait for it."""
        if self._executor is not None:
            self.outputs = list(self._executor.forward(is_train=self._train))
        elif not self._wanted:
            with behaving(self._train):
                self.outputs = self._symbol(self._values)
        else:
            with mx.autograd.record(train_mode=self._train):
                self.outputs = self._symbol(self._values)
            ends = sorted(self._seeds)
            mx.autograd.backward(
                [self.outputs[n] for n in ends], [self._seeds[n] for n in ends], train_mode=self._train
            )
            self._symbol.pull(self._values, self._train)
        mx.nd.waitall()

    def found(self) -> List[Tuple[str, Any]]:
        """The outputs of the last call, as "0", "1", …, and the gradients, as "grad:NAME"."""
        outputs = [(str(number), finished(output)) for number, output in enumerate(self.outputs)]
        return outputs + [("grad:" + name, finished(self._values[name].grad)) for name in self._wanted]


TIMINGS: Dict[int, Timing] = {}


def do_prepare(request: Dict[str, Any], arrays: Dict[str, Any]) -> Answer:
    """Bind "symbol" to arrays and run it once; answer the "seconds" that took, and what :meth:`Timing.found` gives.

    The arrays are the inputs and, as "seed:N", the cotangents of outputs; without "wrt" there are no gradients.
    Otherwise as :func:`do_forward`.
    """
    model = MODELS[request["model"]]
    with mx.util.np_shape(model.np_shape):
        start = time.perf_counter()
        timing = TIMINGS[request["model"]] = Timing(model, request["symbol"], arrays, request)
        timing.call()
        seconds = time.perf_counter() - start
        if not USED["first"]:
            USED["first"] = memory("VmHWM:") - USED["base"]
        found = timing.found()
    rest()
    return {"seconds": seconds}, found


def do_measure(request: Dict[str, Any], _arrays: Dict[str, Any]) -> Answer:
    """Run what was prepared for at least "least" seconds, after a run that does not count if there is to be a "lead".

    Answers the number of "calls", the "seconds" of a call, and how many processors it and "others" kept "busy".
    """
    timing = TIMINGS[request["model"]]
    with mx.util.np_shape(timing.model.np_shape):
        if request["lead"]:
            timing.call()
        calls, busy, total, start = 0, time.process_time(), machine(), time.perf_counter()
        while True:
            timing.call()
            calls += 1
            seconds = time.perf_counter() - start
            if seconds >= request["least"]:
                break
        busy, total = time.process_time() - busy, machine() - total
    rest()
    others = max(total - busy, 0.0) / seconds
    return {"calls": calls, "seconds": seconds / calls, "busy": busy / seconds, "others": others}, []


def machine() -> float:
    """Seconds that all processors were busy since the machine started (proc(5)); 0 where the system does not tell."""
    try:
        with open("/proc/stat") as file:
            ticks = [int(field) for field in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return 0.0
    return (sum(ticks) - sum(ticks[3:5])) / float(os.sysconf("SC_CLK_TCK"))


def do_memory(request: Dict[str, Any], _arrays: Dict[str, Any]) -> Answer:
    """Bytes of memory beyond those that MXNet itself takes.

    "running" is the most since the last request that said "forget", "peak" the most of that and of all until the first
    run of what was prepared was over.
    """
    running = max(memory("VmHWM:") - USED["base"], 0)
    if request["forget"]:
        forget_peak()
    return {"running": running, "peak": max(running, USED["first"])}, []


def memory(key: str) -> int:
    """Bytes of memory: "VmRSS:" for now, "VmHWM:" for the most so far; where the system does not tell, the latter."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget_peak() -> None:
    """Count the most memory from now on, where the system can do that."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def rest() -> None:
    """Wait until no thread works any more, for half a second at most: threads spin when they have nothing to do."""
    end = time.perf_counter() + 0.5
    while time.perf_counter() < end:
        before = time.process_time()
        time.sleep(0.02)
        if time.process_time() - before < 0.002:
            return


def settle() -> None:
    """Let MXNet's threads finish and drop the errors that they still hold, so that the next request starts afresh."""
    try:
        mx.nd.waitall()
    except mx.MXNetError:
        pass


def finished(array: Any) -> Any:
    """A dense array whose computation is over; raises what went wrong in it."""
    dense = array if array.stype == "default" else array.tostype("default")
    dense.wait_to_read()
    return dense


COMMANDS: Dict[str, Callable[[Dict[str, Any], Dict[str, Any]], Answer]] = {
    "open": do_open,
    "close": do_close,
    "forward": do_forward,
    "backward": do_backward,
    "begin": do_begin,
    "step": do_step,
    "end": do_end,
    "prepare": do_prepare,
    "measure": do_measure,
    "memory": do_memory,
}


def end_with_parent(source: int) -> None:
    """End the process as soon as nobody can write to it any more, even in the middle of a computation."""
    parent = os.getppid()
    poller = select.poll()
    poller.register(source, 0)
    while os.getppid() == parent:
        if any(event for _, event in poller.poll(1000)):
            break
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)  # with what it started
    os._exit(0)


def claim_streams() -> Tuple[int, int]:
    """Take stdin and stdout for frames alone; what is printed goes to stderr from here on."""
    source, target = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return source, target


def main(arguments: List[str]) -> int:
    """Serve requests until stdin is closed."""
    source, target = claim_streams()
    threading.Thread(target=end_with_parent, args=(source,), daemon=True).start()
    fast = "--fast" in arguments
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder or ".") != here]
    repairs = import_mxnet(fast)
    USED["base"] = memory("VmRSS:")
    forget_peak()
    channel = Channel(source, target)
    channel.send(
        {
            "ok": True,
            "number": 0,
            "python": "{}.{}.{}".format(*sys.version_info[:3]),
            "numpy": np.__version__,
            "mxnet": mx.__version__,
            "repairs": repairs,
            "fast": fast,
            "blas": blas_kernels(),
        }
    )
    while True:
        try:
            request, arrays = channel.receive()
        except EOFError:
            return 0
        try:
            header, found = COMMANDS[request["command"]](request, arrays)
            header["ok"] = True
        except Exception as error:
            kind = type(error).__name__
            header, found = {"ok": False, "kind": kind, "error": str(error), "trace": traceback.format_exc()}, []
            settle()
        arrays.clear()
        header["number"] = request["number"]
        channel.send(header, found)
        del found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
