"""The guide's examples run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "runs.md"


def test_the_guide_runs_and_prints_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = GUIDE.read_text("utf-8")
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        for line in re.findall(r"print\(.*?\)\s+# (.*)", block):
            assert line
        exec(compile(block, str(GUIDE), "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    for expected in re.findall(r"print\(.*\)\s+# (.*)", text):
        assert expected in printed
    assert "[('2026/january.csv', 8)]" in printed
