"""The recipes of docs/ci.md: valid for the systems that run them, and each of their steps runs as it stands.

What installs packages is left out, and actions (checkout, upload) are not run: the packages are there, and the steps
run in a folder that holds what a checkout would.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pages.scenes import ci
from realmxnet import mxnet

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
yaml = pytest.importorskip("ruamel.yaml")
pytest.importorskip("check_jsonschema")

pytestmark = pytest.mark.long

TEXT = (Path(__file__).parent.parent / "docs" / "ci.md").read_text(encoding="utf-8")
SCHEMAS = {".github": "vendor.github-workflows", ".gitlab-ci.yml": "vendor.gitlab-ci"}
ACTIONS = {"actions/checkout@v4", "actions/setup-python@v5", "actions/upload-artifact@v4"}
INSTALLS = {
    "pip install torch --index-url https://download.pytorch.org/whl/cpu",
    "pip install 'graphkit[torch,ort]'",
    "pip install 'graphkit[torch,ort]' pytest",
}
"""Lines that install packages, the only ones that are not run."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def files() -> dict[str, str]:
    """The complete files that the page shows, by the name in their first line."""
    found = {}
    for text in [*blocks("yaml"), *blocks("python")]:
        name = text.splitlines()[0]
        assert name.startswith("# "), "a file says in its first line what it is called"
        found[name[2:]] = text
    return found


def document(name: str) -> Any:
    return yaml.YAML(typ="safe", pure=True).load(files()[name])


def jobs() -> list[tuple[str, str]]:
    """Every job of every recipe: the file and the name of the job."""
    found = []
    for name in files():
        if name.startswith(".github"):
            found += [(name, job) for job in document(name)["jobs"]]
        elif name == ".gitlab-ci.yml":
            found += [(name, job) for job in document(name) if job != "default"]
    return found


def scripts(name: str, job: str) -> list[str]:
    """What a job runs, a script for each process."""
    if name == ".gitlab-ci.yml":
        whole = document(name)
        return ["\n".join([*whole["default"]["before_script"], *whole[job]["script"]])]
    return [step["run"] for step in document(name)["jobs"][job]["steps"] if "run" in step]


def without_installs(script: str) -> str:
    lines = [line for line in script.splitlines() if "install" in line]
    assert set(map(str.strip, lines)) <= INSTALLS
    return "\n".join(line for line in script.splitlines() if line not in lines)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A checkout of a project as the page has it in mind: its models, its module, its settings and its tests."""
    folder = tmp_path_factory.mktemp("project")
    ci.prepare(folder)
    for name, text in {"pyproject.toml": blocks("toml")[0], **files()}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def run(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script as GitHub's and GitLab's runners do: in bash, until the first command that fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "PYTEST_", "COLUMNS"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env={**kept, "PATH": path, "CI": "true", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def recorded(project) -> Path:
    """The project with the baseline that the page tells to record."""
    mxnet()
    (command,) = [
        line for block in blocks("console") for line in block.splitlines() if line.startswith("$") and "save" in line
    ]
    done = run(command.removeprefix("$ "), project)
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def test_the_page_has_the_files_it_speaks_of():
    assert [name for name in files() if name.endswith(".yml")] == [
        ".github/workflows/parity.yml",
        ".github/workflows/baseline.yml",
        ".gitlab-ci.yml",
        ".github/workflows/tests.yml",
    ]
    assert len(jobs()) == 6


@pytest.mark.parametrize("name", [name for name in files() if name.endswith(".yml")])
def test_a_recipe_is_what_the_schema_of_its_system_allows(name, tmp_path):
    path = tmp_path / Path(name).name
    path.write_text(files()[name], encoding="utf-8")
    schema = SCHEMAS[name.split("/")[0]]
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    done = subprocess.run([*check, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    path.write_text(files()[name].replace("runs-on:", "runs:").replace("artifacts:", "artefacts: 3\n  x:"), "utf-8")
    done = subprocess.run([*check, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1, "the schema finds mistakes"


def test_actions_are_known_ones():
    used = {
        step["uses"]
        for name, job in jobs()
        if name.startswith(".github")
        for step in document(name)["jobs"][job]["steps"]
        if "uses" in step
    }
    assert used == ACTIONS


@pytest.mark.parametrize(("name", "job"), [pair for pair in jobs() if pair[1] != "baseline"])
def test_a_job_passes_and_leaves_what_it_keeps(name, job, project, tmp_path):
    summary = tmp_path / "summary.md"
    for script in scripts(name, job):
        github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)} if name.startswith(".github") else {}
        done = run(without_installs(script), project, **github)
        assert done.returncode == 0, done.stdout + done.stderr
    for kept in keeps(name, job):
        assert list(project.glob(kept)), f"{kept} is kept and has to be there"
    if "graphkit verify" in "".join(scripts(name, job)) and name.startswith(".github"):
        assert "In parity" in summary.read_text(encoding="utf-8")


@pytest.mark.mxnet
@pytest.mark.parametrize(("name", "job"), [pair for pair in jobs() if pair[1] == "baseline"])
def test_a_job_compares_with_recorded_numbers_without_mxnet(name, job, recorded):
    for script in scripts(name, job):
        done = run(without_installs(script), recorded, GRAPHKIT_MXNET_PYTHON="/nowhere/python")
        assert done.returncode == 0, done.stdout + done.stderr
        assert not script.strip().startswith("graphkit") or "mxnet" in done.stdout
    for kept in keeps(name, job):
        assert list(recorded.glob(kept)), f"{kept} is kept and has to be there"


def test_a_job_fails_with_status_1_and_a_report_where_the_deployed_file_is_wrong(project, tmp_path):
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "net.pt2").symlink_to(project / "models" / "net.pt2")
    (folder / "models" / "net.onnx").symlink_to(project / "models" / "quick.onnx")
    (folder / "pyproject.toml").write_text("[tool.graphkit.verify]\n", encoding="utf-8")
    (script,) = [
        text for text in map(without_installs, scripts(".github/workflows/parity.yml", "parity")) if text.strip()
    ]
    summary = tmp_path / "summary.md"
    done = run(script, folder, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "::error" in done.stdout + done.stderr
    assert "Not in parity" in summary.read_text(encoding="utf-8")
    assert "<failure" in (folder / "parity.xml").read_text(encoding="utf-8")


def test_a_job_fails_with_status_2_where_a_file_is_missing(tmp_path):
    (script,) = [text for text in map(without_installs, scripts(".gitlab-ci.yml", "parity")) if text.strip()]
    done = run(script, tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("graphkit: error:")


def keeps(name: str, job: str) -> list[str]:
    """Globs of what a job uploads."""
    if name == ".gitlab-ci.yml":
        artifacts = document(name)[job]["artifacts"]
        return [*artifacts.get("paths", []), artifacts["reports"]["junit"]]
    steps = document(name)["jobs"][job]["steps"]
    return [
        path for step in steps if "upload-artifact" in step.get("uses", "") for path in step["with"]["path"].split()
    ]


def test_the_settings_shown_are_read(tmp_path):
    from graphkit.parity.settings import KEYS, settings

    (tmp_path / "pyproject.toml").write_text(blocks("toml")[0], encoding="utf-8")
    found = settings(tmp_path / "pyproject.toml", "verify")
    assert set(tomllib.loads(blocks("toml")[0])["tool"]["graphkit"]["verify"]) - {"tolerances"} < set(found)
    listed = re.search(r"^- The keys are (.*?)\. Files", TEXT, re.MULTILINE | re.DOTALL)
    assert listed is not None
    assert set(re.findall(r"`([\w-]+)`", listed[1])) == set(KEYS["verify"])


def test_the_quantities_listed_are_those_there_are():
    from graphkit.parity.tolerances import QUANTITIES

    listed = re.search(r"for a quantity \((.*?)\)", TEXT, re.DOTALL)
    assert listed is not None
    assert tuple(re.findall(r"`([^`]+)`", listed[1])) == QUANTITIES
