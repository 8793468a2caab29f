"""What docs/run.md says of the settings of runtimes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from graphkit.frameworks.base import Setting, runtimes

TEXT = (Path(__file__).parent.parent.parent / "docs" / "run.md").read_text(encoding="utf-8")


def test_the_settings_of_each_runtime_are_those_it_follows() -> None:
    said = dict(re.findall(r"^\| `(\w[\w-]*)`.*\| ([^|]*) \|$", TEXT, re.MULTILINE))
    assert set(said) == set(runtimes())
    spelled = {"threads": "--threads", "fast": "--fast"}
    for name, runtime in runtimes().items():
        told = {"all below": set(get_args(Setting)), "none": set()}.get(said[name])
        if told is None:
            told = {setting for setting, option in spelled.items() if f"`{option}`" in said[name]}
        assert runtime.follows == told
