"""Folders of torch source from strangers, whose model.py would do more than compute."""

from __future__ import annotations

import py_compile
from importlib.util import cache_from_source
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from attacks.catalogue import attack
from graphkit.cli import main
from graphkit.errors import FormatError, InputError
from graphkit.frameworks.torch.folder import read_folder

if TYPE_CHECKING:
    from pathlib import Path

MODEL = """\
import torch
from torch import nn
from torch.nn import functional as F

{above}
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        {init}

    def forward(self, x):
        {forward}
        return F.relu(self.fc(x))
"""


@pytest.fixture
def folder(tmp_path):
    """Write a folder with a line more in one of three places."""

    def write(above="", init="", forward="", text=None, name="Net", inputs='[["x", [1, 3], "float32"]]'):
        made = tmp_path / "net"
        made.mkdir(exist_ok=True)
        text = MODEL.format(above=above, init=init or "pass", forward=forward or "pass") if text is None else text
        (made / "model.py").write_text(text, encoding="utf-8")
        known = {"format": "pt", "graphkit.class": name, "graphkit.inputs": inputs, "graphkit.names": "{}"}
        save_file({"fc.weight": torch.ones(2, 3), "fc.bias": torch.ones(2)}, made / "model.safetensors", known)
        return made

    return write


def refused(folder: Path) -> str:
    """What is told of a folder that is refused before any of it runs."""
    with pytest.raises(InputError, match=r"does not run unasked.*--trust-code") as told:
        read_folder(folder)
    return str(told.value)


@attack("model.py that runs a command when it is read", "refused with the line; it runs with --trust-code alone")
def test_code_at_the_top(folder, tmp_path, capfd):
    net = folder(above=f"open({str(tmp_path / 'made')!r}, 'w').write('x')")
    assert refused(net).startswith(f"Line 5 of {net / 'model.py'} does something when it is read")
    with pytest.raises(SystemExit) as left:
        main(["inspect", str(net)])
    assert left.value.code == 2
    assert "--trust-code" in capfd.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "made").exists()
    read_folder(net, trusted=True)
    assert (tmp_path / "made").exists()


@attack("Builtins that open files, run code or look names up, in forward", "refused with line and name")
@pytest.mark.parametrize(
    "call",
    [
        "open('made', 'w')",
        "exec('import os')",
        "eval('1')",
        "compile('1', '', 'eval')",
        "__import__('os').system('id')",
        "getattr(x, 'numpy')",
        "setattr(nn, 'Linear', 1)",
        "globals()['x']",
        "vars(self)",
        "breakpoint()",
        "type('X', (), {'__del__': print})",
        "object()",
        "memoryview(b'')",
        "__builtins__['open']('made')",
        "__loader__.get_data('/etc/passwd')",
        "(lambda o=open: o('made'))()",
        "[o('made') for o in [open]]",
        "f'{open(1)}'",
        "(o := open)('made')",
        "print(*map(eval, ['1']))",
    ],
)
def test_builtins(folder, call):
    assert "Line 13 of" in refused(folder(forward=call))


@attack("Modules that torch's own modules have imported: torch.os, F.torch.hub, nn.modules.module.torch", "refused")
@pytest.mark.parametrize(
    "call",
    [
        "torch.os.system('id')",
        "torch.ｏｓ.system('id')",
        "torch.sys.modules['os'].system('id')",
        "torch.nn.modules.module.torch.os.system('id')",
        "F.torch.hub.load('a/b', 'c')",
        "nn.functional.torch.ops.load_library('x.so')",
        "torch.classes.load_library('x.so')",
        "torch.load('x.pt', weights_only=False)",
        "torch.save(x, 'x')",
        "torch.from_file('/etc/passwd', size=10)",
        "torch.utils.cpp_extension.load('x', [])",
        "torch.compile(self)",
        "torch.jit.script(self).save('x')",
        "torch.package.PackageImporter('x')",
        "torch.serialization.pickle.loads(b'')",
        "torch.multiprocessing.spawn(print)",
        "torch.distributed.init_process_group()",
        "torch.fx.Interpreter",
        "torch.frombuffer(b'')",
        "nn.parallel.DataParallel(self)",
        "nn.DataParallel(self)",
        "m = torch",
        "[m.os for m in (torch,)]",
        "(lambda m: m.os)(nn.functional)",
    ],
)
def test_modules_within_modules(folder, call):
    refused(folder(forward=call))


@attack("Imports of what runs code, under other names and with stars", "refused")
@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "import os as math",
        "import torch.utils.cpp_extension",
        "from torch import os",
        "from torch import hub as nn",
        "from torch import *",
        "from torch.nn.functional import torch as t",
        "from torch.nn.modules import module",
        "from . import evil",
        "from torch._C import _VariableFunctions",
        "import subprocess, math",
        "import builtins",
        "from typing import sys",
        "from math import __loader__",
        "import torch.nn as torch",
    ],
)
def test_imports(folder, line):
    refused(folder(above=line))
    refused(folder(forward=line))


@attack("The way to all classes and globals through underscores, frames and formats", "refused")
@pytest.mark.parametrize(
    "call",
    [
        "().__class__.__base__.__subclasses__()",
        "nn.Module.__init__.__globals__['torch'].os",
        "F.relu.__globals__",
        "self.forward.__func__.__globals__",
        "self._call_impl(x)",
        "self._modules.clear()",
        "(i for i in x).gi_frame.f_globals",
        "'{0.__class__.__mro__}'.format(x)",
        "'{0.a}'.format_map(x)",
        "nn.Linear.mro()",
        "x.numpy().tofile('made')",
        "x.untyped_storage().from_file('made')",
        "x.map_(x, print)",
        "x.register_hook(print)",
        "x.data_ptr()",
        "self.compile()",
        "super().__getattribute__('x')",
        "super",
        "self.fc.forward.__code__",
        "__class__",
        "x.grad_fn",
        "x._make_subclass",
    ],
)
def test_attributes(folder, call):
    refused(folder(forward=call))


@attack("Statements that hand out frames, classes or names: except, match, yield, async, global, del", "refused")
@pytest.mark.parametrize(
    "lines",
    [
        "try:\n            1 / 0\n        except Exception as e:\n            e.__traceback__.tb_frame",
        "try:\n            1 / 0\n        finally:\n            pass",
        "match x:\n            case torch.Tensor(numpy=f):\n                f",
        "global open",
        "yield x",
        "async def f():\n            await x",
        "del torch",
        "class Inner(str):\n            pass",
    ],
)
def test_statements(folder, lines):
    refused(folder(forward=lines))


@attack("Classes that Python asks: metaclasses, decorators, __getattr__, subclasses of Tensor and str", "refused")
@pytest.mark.parametrize(
    "above",
    [
        "class A(nn.Module, metaclass=print):\n    pass",
        "@print\nclass A:\n    pass",
        "@torch.jit.script\ndef f(x):\n    return x",
        "class A:\n    def __getattr__(self, name):\n        return name",
        "class A:\n    __call__ = print",
        "class A(torch.Tensor):\n    pass",
        "class A(str):\n    pass",
        "class A((open, nn.Module)[1]):\n    pass",
        "class A:\n    while True:\n        pass",
        "class A:\n    def f(cls):\n        return cls",
        "class A:\n    @staticmethod\n    def f(x):\n        return x",
        "def f(x=open('made', 'w')):\n    return x",
        "lines = [line for line in open('/etc/passwd')]",
        "for i in range(3):\n    pass",
        "assert __import__('os')",
        "if True:\n    import os",
    ],
)
def test_classes(folder, above):
    refused(folder(above=above))


@attack("A member called numpy or gi_frame, so that the name is known, and then that of a tensor", "refused")
@pytest.mark.parametrize("name", ["numpy", "gi_frame", "f_globals", "format", "storage", "map_", "register_hook"])
def test_members_with_names_of_others(folder, name):
    refused(folder(init=f"self.{name} = 1", forward=f"x.{name}"))
    refused(folder(init=f"self.register_buffer('{name}', torch.ones(1))", forward=f"x.{name}"))
    refused(folder(above=f"class A:\n    {name} = 1", forward=f"x.{name}"))
    refused(folder(above=f"class A:\n    def {name}(self):\n        return 1", forward=f"x.{name}"))


@attack("A builtin's name as that of an argument, so that the name is known elsewhere", "refused, or not there")
@pytest.mark.parametrize(
    ("above", "told"),
    [
        ("def g(getattr):\n    return 1", "binds the name getattr"),
        ("import math as getattr", "gives the name getattr to two things"),
        ("class A:\n    def getattr(self):\n        return 1", "defines getattr"),
        ("class A:\n    getattr = 1", "getattr"),
        ("class A:\n    def property(self):\n        return self(torch.Tensor)", "defines property"),
        ("def g(open, eval, __import__):\n    return 1", "binds the name __import__"),
    ],
)
def test_known_builtins(folder, above, told):
    assert told in refused(folder(above=above, init="self.x = getattr(torch.ones(1), 'numpy')"))


@attack("A file that binds open somewhere and calls it elsewhere", "there is no open: only a few builtins are there")
@pytest.mark.parametrize("name", ["open", "eval", "exec", "compile", "input", "vars", "globals", "type", "object"])
def test_absent_builtins(folder, name, tmp_path):
    with pytest.raises(InputError, match=f"NameError: name '{name}' is not defined"):
        read_folder(folder(above=f"def g({name}):\n    return 1", init=f"{name}({str(tmp_path / 'made')!r}, 'w')"))
    assert not (tmp_path / "made").exists()


@attack("Methods that graphkit calls of a module, replaced by others that give nonsense", "the source is said to fail")
@pytest.mark.parametrize("name", ["eval", "train", "named_parameters", "named_buffers"])
def test_methods_that_are_called(folder, name):
    net = folder()
    text = (net / "model.py").read_text() + f"\n    def {name}(self, *args, **kwargs):\n        return 3\n"
    try:
        module = read_folder(folder(text=text)).module
    except InputError as error:
        assert "fails" in str(error)  # noqa: PT017  # some are never missed
    else:
        assert isinstance(module, nn.Module)


@attack("Replacing what torch computes, so that verify would compare lies", "refused: only self is assigned to")
@pytest.mark.parametrize(
    ("above", "forward"),
    [
        ("", "nn.Linear.forward = F.relu"),
        ("", "F.relu = F.elu"),
        ("", "self.fc.forward = F.relu"),
        ("", "self.forward = F.relu"),
        ("", "self = torch.Tensor"),
        ("", "(lambda self: self.put(F.elu))(torch.Tensor)"),
        ("class A:\n    def hang(self, f):\n        self.norm = f", "A.hang(torch.Tensor, F.elu)"),
        ("", "for self in (torch.Tensor,): pass"),
        ("class A:\n    def f(self, g):\n        self.norm = g\n    h = f(torch.Tensor, F.elu)", ""),
        ("class A:\n    def f(self, g):\n        self.norm = g\n    def h(self, k=f):\n        k(torch.Tensor, 1)", ""),
        ("def f(self):\n    self.norm = 1\nf(torch.Tensor)", ""),
        ("class A:\n    @print\n    def f(self):\n        self.norm = 1", ""),
        ("def property(f):\n    f(torch.Tensor)\nclass A:\n    @property\n    def f(self):\n        self.norm = 1", ""),
        ("def super():\n    return torch.Tensor", ""),
        ("import math as self", ""),
    ],
)
def test_replacing_torch(folder, above, forward):
    before = (nn.functional.relu, nn.Linear.forward, torch.Tensor.norm)
    refused(folder(above=above, forward=forward))
    assert (nn.functional.relu, nn.Linear.forward, torch.Tensor.norm) == before


@attack("Compiled code beside model.py, which Python would run in its place", "ignored: the text that is checked runs")
def test_compiled_code_in_its_place(folder, tmp_path):
    net = folder()
    source = net / "model.py"
    good = source.read_text()
    source.write_text(f"open({str(tmp_path / 'made')!r}, 'w')\n" + good)
    cached = cache_from_source(str(source))
    py_compile.compile(str(source), cached, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    source.write_text(good)
    read_folder(net)
    assert not (tmp_path / "made").exists()


@attack("A line that says the source is UTF-7, in which a comment is code", "what is checked is what runs: UTF-8")
def test_another_encoding(folder, tmp_path):
    hidden = f"# -*- coding: utf-7 -*-\n# +AAo-open({str(tmp_path / 'made')!r}, 'w')\n"
    read_folder(folder(text=hidden + MODEL.format(above="", init="pass", forward="pass")))
    assert not (tmp_path / "made").exists()


@attack("Code in texts that something evaluates later: annotations, under __future__ too", "annotations are taken away")
def test_annotations(folder, tmp_path):
    text = f"__import__('pathlib').Path({str(tmp_path / 'made')!r}).touch()"
    above = f"limit: {text!r} = 1\ndef f(x: {text!r}) -> {text!r}:\n    y: {text!r}\n    return x"
    net = folder(above=above, init=f"self.n: {text!r} = 1")
    read_folder(net)
    read_folder(folder(text="from __future__ import annotations\n" + (net / "model.py").read_text()))
    assert not (tmp_path / "made").exists()
    refused(folder(above=f"def f(x: {text}):\n    return x"))


@attack("Weights that name something else as the model's class", "refused: it is none of the source's classes")
@pytest.mark.parametrize("name", ["torch", "F", "__builtins__", "print", "Linear", "helper", ""])
def test_another_class(folder, name):
    net = folder(above="from torch.nn import Linear\ndef helper():\n    return Linear(3, 2)", name=name)
    with pytest.raises(InputError, match="has no class"):
        read_folder(net)


@attack("Metadata of weights that is nested, of other types, or of sizes that are none", "refused as damaged")
@pytest.mark.parametrize(
    "inputs",
    [
        "[" * 20_000,
        '[["x", ["3"], "float32"]]',
        '[["x", [-1], "float32"]]',
        '[["x", [1e400], "float32"]]',
        '[["x", [true, 3], "float32"]]',
        '[[["x"], [1, 3], "float32"]]',
        '[["x", [1, 3], "object"]]',
        '[["x", [1, 3], {}]]',
        '{"x": 1}',
        "3",
        "",
    ],
    ids=range(11),
)
def test_metadata(folder, inputs):
    with pytest.raises(FormatError, match="its metadata is not what graphkit writes"):
        read_folder(folder(inputs=inputs))


@attack("Source nested so deeply that Python's parser or compiler gives up or crashes", "refused")
@pytest.mark.parametrize(
    "text",
    [
        "x = " + "(" * 50_000,
        "x = " + "-" * 50_000 + "1",
        "x = " + "1 + " * 50_000 + "1",
        "x = " + "a." * 20_000 + "b",
        "x = '\0'",
        "x = " + "9" * 5000,
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    ],
    ids=range(7),
)
def test_nested_source(folder, text):
    with pytest.raises(InputError):
        read_folder(folder(text=text))


@attack("A function called as one of graphkit's own that is let through, with another body", "it is checked as any")
def test_a_changed_function_of_graphkit(folder):
    own = "def freeze(layer, *names):\n    for name in names:\n        getattr(layer, name){}\n    return layer"
    read_folder(folder(above=own.format(".requires_grad_(False)")))
    refused(folder(above=own.format("(1)")))


@attack("Source that prints escape sequences to the terminal", "they are printed as visible signs")
def test_printed_escapes(folder, capfd):
    read_folder(folder(init=r"print('\x1b]0;title\x07', 'mine', end='\x1b[2J')"))
    printed = capfd.readouterr().out
    assert "mine" in printed
    assert "\x1b" not in printed
