"""docs/tutorials/parity-in-ci.md: the jobs that it shows run the commands that the page runs."""

from __future__ import annotations

import pytest
from pages.blocks import parse
from pages.listing import ROOT

yaml = pytest.importorskip("ruamel.yaml")

PAGE = parse(ROOT / "docs" / "tutorials" / "parity-in-ci.md")
INSTALLS = {
    "pip install torch --index-url https://download.pytorch.org/whl/cpu",
    "pip install 'graphkit[torch,ort]'",
}


def lines(name: str) -> list[str]:
    """What the job in a file of the page runs, line by line."""
    (text,) = [block.content for block in PAGE.blocks if block.writes == name]
    ((_, job),) = (found := yaml.YAML(typ="safe", pure=True).load(text)).get("jobs", found).items()
    scripts = job["script"] if "script" in job else [step["run"] for step in job["steps"] if "run" in step]
    return [line for script in scripts for line in script.splitlines()]


@pytest.mark.parametrize("name", [".github/workflows/parity.yml", ".gitlab-ci.yml"])
def test_a_job_installs_and_runs_what_the_page_runs(name: str) -> None:
    found = lines(name)
    assert set(found) >= INSTALLS
    (command,) = [line for line in found if line not in INSTALLS]
    run = [one.text for block in PAGE.blocks if block.language == "console" for one in block.commands()]
    assert command in run, "as the page runs it before any CI does"
    assert f"GITHUB_ACTIONS=true {command}" in run, "as the page shows it fail"
