"""What holds for the whole package: which parts import which, what imports cost, what is public."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import graphkit

ROOT = Path(graphkit.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
WORKER = ROOT / "frameworks" / "mxnet" / "worker" / "main.py"
"""Runs in a Python of its own, so it follows other rules."""

LAYERS: dict[str, frozenset[str]] = {
    "_version": frozenset(),
    "errors": frozenset(),
    "files": frozenset({"errors", "processes"}),
    "limits": frozenset({"errors", "files"}),
    "processes": frozenset(),
    "text": frozenset(),
    "provenance": frozenset({"_version"}),
    "stamps": frozenset({"provenance"}),
    "ir": frozenset({"errors", "files", "limits"}),
    "ops": frozenset({"errors", "limits", "ir"}),
    "passes": frozenset({"errors", "ir", "ops"}),
    "render": frozenset({"errors", "provenance", "stamps", "files", "text", "ir"}),
    "report": frozenset({"errors", "provenance", "stamps", "_version", "files", "text", "ir", "render"}),
    "frameworks": frozenset(
        {"errors", "provenance", "stamps", "files", "text", "limits", "processes", "ir", "ops", "passes", "_version"}
    ),
    "parity": frozenset(
        {"errors", "provenance", "stamps", "files", "text", "limits", "report", "ir", "ops", "passes", "frameworks"}
    ),
    "running": frozenset({"errors", "provenance", "stamps", "files", "ir", "frameworks", "parity"}),
    "inspecting": frozenset(
        {
            "errors",
            "provenance",
            "stamps",
            "files",
            "limits",
            "text",
            "ir",
            "ops",
            "passes",
            "frameworks",
            "render",
            "_version",
        }
    ),
    "bench": frozenset(
        {"errors", "provenance", "stamps", "files", "text", "ir", "passes", "frameworks", "parity", "report"}
    ),
    "doctor": frozenset({"errors", "ir", "frameworks", "render"}),
    "testing": frozenset({"errors", "report", "ir", "frameworks", "parity"}),
    "pytest_plugin": frozenset({"errors", "report", "parity", "testing"}),
    "__main__": frozenset({"cli"}),
    "cli": frozenset(
        {
            "errors",
            "_version",
            "report",
            "ir",
            "frameworks",
            "parity",
            "render",
            "running",
            "bench",
            "doctor",
            "inspecting",
            "text",
            "files",
            "provenance",
            "limits",
            "processes",
        }
    ),
}
"""What each part of the package may import besides itself: only what is below it."""

HEAVY = frozenset(
    (
        "torch",
        "mxnet",
        "onnxruntime",
        "onnxscript",
        "networkx",
        "pygraphviz",
        "graphviz",
        "rich",
        "safetensors",
        "PIL",
        "matplotlib",
    )
)
"""Packages that are slow to import or not always installed, so imported where they are used."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(tree: ast.AST) -> set[str]:
    """Absolute names of everything that a piece of source imports; ``from a import b`` gives ``a.b``."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are banned"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def on_import(tree: ast.Module) -> ast.Module:
    """The statements that importing a module runs: not the bodies of functions, not what is for type checkers."""

    class Pruned(ast.NodeTransformer):
        def visit_FunctionDef(self, _node):
            return None

        visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815  # the name that ast calls

        def visit_If(self, node):
            return None if "TYPE_CHECKING" in ast.unparse(node.test) else self.generic_visit(node)

    return Pruned().visit(tree)


@pytest.mark.parametrize("path", [path for path in MODULES if path.parent != ROOT and path != WORKER], ids=named)
def test_imports_go_downward_only(path):
    layer, *rest = path.relative_to(ROOT).with_suffix("").parts
    allowed = {f"graphkit.{name}" for name in (*LAYERS[layer], layer)}
    own = {name for name in imports(ast.parse(path.read_text())) if name.split(".")[0] == "graphkit"}
    assert not {name for name in own if ".".join(name.split(".")[:2]) not in allowed}
    if layer == "frameworks" and len(rest) > 1:
        folders = {folder.name for folder in (ROOT / "frameworks").iterdir() if folder.is_dir()} - {rest[0]}
        assert not {name for name in own if name.split(".")[1] == layer and name.split(".")[2] in folders}


def test_every_part_of_the_package_has_a_layer():
    assert {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()} == {
        *LAYERS,
        "__init__",
    }


@pytest.mark.parametrize("path", [path for path in MODULES if path != WORKER], ids=named)
def test_no_module_imports_a_heavy_package_before_it_needs_it(path):
    tree = on_import(ast.parse(path.read_text()))
    assert not {name.split(".")[0] for name in imports(tree)} & HEAVY


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_importing_graphkit_imports_no_framework_and_no_package_at_all():
    code = "import sys; before = set(sys.modules); import graphkit; print(*sorted(set(sys.modules) - before))"
    loaded = {name.split(".")[0] for name in python(code).stdout.split()}
    assert "graphkit" in loaded
    assert loaded - {"graphkit"} <= set(sys.stdlib_module_names)


def test_the_plugin_of_pytest_imports_next_to_nothing():
    code = "import sys, pytest; old = set(sys.modules); import graphkit.pytest_plugin; print(*set(sys.modules) - old)"
    loaded = python(code).stdout.split()
    assert "graphkit.testing" in loaded
    assert {name.split(".")[0] for name in loaded} <= {"graphkit", *sys.stdlib_module_names}
    assert {name.split(".")[1] for name in loaded if name.startswith("graphkit.")} <= {
        "_version",
        "errors",
        "pytest_plugin",
        "render",
        "testing",
        "text",
    }


def test_public_names_are_sorted_and_there():
    assert graphkit.__all__ == sorted(graphkit.__all__)
    for name in graphkit.__all__:
        assert getattr(graphkit, name) is not None
    assert dir(graphkit) == graphkit.__all__
    with pytest.raises(AttributeError, match="nonsense"):
        _ = graphkit.nonsense


def test_the_public_function_called_as_its_package_stays_a_function():
    importlib.import_module("graphkit.render.dot")
    assert callable(graphkit.render)


def test_every_exception_is_public():
    assert set(importlib.import_module("graphkit.errors").__all__) < set(graphkit.__all__)


BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "mxnet", "onnxruntime", "onnxscript"}:
            raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, Blocker())
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def commands() -> list[str]:
    cli = importlib.import_module("graphkit.cli")
    modules = (module.name for module in pkgutil.iter_modules(cli.__path__))
    return [name for name in modules if hasattr(importlib.import_module(f"graphkit.cli.{name}"), "COMMAND")]


@pytest.mark.parametrize("command", ["", *commands()])
def test_help_works_without_any_framework(command):
    done = python(
        f"{BLOCKED}\nfrom graphkit.cli import main\nmain([{command!r}, '--help'] if {command!r} else ['--help'])"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: graphkit")
    assert not done.stderr


def test_help_lists_every_command():
    done = python("from graphkit.cli import main\nmain(['--help'])")
    assert set(commands()) <= set(done.stdout.split())


def test_help_imports_nothing_heavy():
    code = "import sys\nfrom graphkit.cli import main\ntry: main(['--help'])\nfinally: print(*sys.modules)"
    assert not {name.split(".")[0] for name in python(code).stdout.split()} & {*HEAVY, "numpy", "onnx", "onnx_ir"}
