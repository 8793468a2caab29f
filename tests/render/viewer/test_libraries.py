"""The viewer's libraries are those that its script bundles, with their licences."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

HERE = files("graphkit.render.viewer") / "libraries"
TOOL = Path(__file__).parents[3] / "tools" / "viewer"
MANIFEST = json.loads((HERE / "libraries.json").read_text())


def test_the_bundle_is_the_one_that_the_manifest_describes():
    assert hashlib.sha256((HERE / "libraries.js").read_bytes()).hexdigest() == MANIFEST["sha256"]


def test_every_library_has_its_licence_in_the_package():
    text = (HERE / "LICENSES.txt").read_text(encoding="utf-8")
    assert [item["name"] for item in MANIFEST["libraries"] if f"{item['name']} {item['version']} (" not in text] == []
    assert {item["license"] for item in MANIFEST["libraries"]} <= {"MIT", "ISC", "BSD-3-Clause"}


def test_libraries_have_the_versions_of_the_lock_file():
    locked = json.loads((TOOL / "package-lock.json").read_text())["packages"]
    assert {item["name"]: item["version"] for item in MANIFEST["libraries"]} == {
        item["name"]: locked[f"node_modules/{item['name']}"]["version"] for item in MANIFEST["libraries"]
    }
    wanted = json.loads((TOOL / "package.json").read_text())["dependencies"]
    assert wanted.keys() <= {item["name"] for item in MANIFEST["libraries"]}


def test_bundling_again_gives_the_same_bytes(tmp_path):
    if shutil.which("node") is None or not (TOOL / "node_modules").is_dir():
        pytest.skip("Node or the libraries' sources are not installed: npm ci --ignore-scripts in tools/viewer")
    where = tmp_path / "tools" / "viewer"
    shutil.copytree(TOOL, where, symlinks=True)
    subprocess.run(["node", "bundle.mjs"], cwd=where, check=True)
    made = tmp_path / "graphkit" / "render" / "viewer" / "libraries"
    assert {path.name: path.read_bytes() for path in made.iterdir()} == {
        name: (HERE / name).read_bytes() for name in ("libraries.js", "libraries.json", "LICENSES.txt")
    }
