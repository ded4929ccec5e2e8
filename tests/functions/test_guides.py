"""The guides' examples run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDES = Path(__file__).parents[2] / "docs" / "guide"


@pytest.mark.parametrize("name", ["functions", "migrate-v0"])
def test_the_guide_runs_and_prints_what_it_says(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    text = (GUIDES / f"{name}.md").read_text("utf-8")
    names: dict[str, object] = {}
    said, shown = [], []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        if language == "python":
            exec(compile(block, name, "exec"), names)
            said += re.findall(r"^print\(.*\)\s+# (.*)$", block, re.MULTILINE)
        else:
            shown.append(block)
    printed = capsys.readouterr().out
    for block in shown:
        assert block in printed
    lines = iter(printed.splitlines())
    for expected in said:
        assert expected in lines, expected
    assert len(said) >= 8
