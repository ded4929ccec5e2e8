"""README and guides do what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from acceptance.documents import ROOT, check, matches, steps

DOCUMENTS = ("README.md", "docs/guide/cli.md")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_commands_and_programs_of_a_document_work(name: str, tmp_path: Path) -> None:
    assert check(ROOT / name, tmp_path) > 0


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_an_example_runs_in_a_fresh_folder(example: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("name", [*DOCUMENTS, "CONTRIBUTING.md", "docs/index.md"])
def test_the_links_of_a_document_lead_somewhere(name: str) -> None:
    document = ROOT / name
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert links
    for link in links:
        assert (document.parent / link).exists(), f"{name}: {link}"


def test_api_md_names_every_public_name() -> None:
    import holdfast

    text = (ROOT / "docs/api.md").read_text()
    missing = [name for name in holdfast.__all__ if not re.search(rf"`(holdfast\.)?{name}\b", text)]
    assert not missing


def test_steps_are_found_with_their_outputs(tmp_path: Path) -> None:
    document = tmp_path / "d.md"
    document.write_text(
        "a\n```console\n$ one\nout\n$ two \\\n> more\n```\n```python\n3\n```\n```text\nx\n```\n"
    )
    assert [(s.line, s.source, s.expected) for s in steps(document)] == [
        (3, "one\n", "out\n"),
        (5, "two \\\nmore\n", ""),
        (9, "3\n", "x\n"),
    ]


def test_three_dots_stand_for_anything_and_nothing_else_does() -> None:
    assert matches("a ... c\n", "a b\nb c\n")
    assert not matches("a ... c\n", "a b d\n")
    assert not matches("", "something\n")


def test_a_wrong_output_fails(tmp_path: Path) -> None:
    document = tmp_path / "d.md"
    document.write_text("```console\n$ echo a\nb\n```\n")
    (tmp_path / "f").mkdir()
    with pytest.raises(AssertionError, match=r"d.md:2: echo a"):
        check(document, tmp_path / "f")


def test_the_working_folder_and_variables_last(tmp_path: Path) -> None:
    document = tmp_path / "d.md"
    document.write_text(
        "```console\n$ mkdir x && cd x && export V=1\n$ echo $(basename $PWD) $V\nx 1\n```\n"
    )
    (tmp_path / "f").mkdir()
    assert check(document, tmp_path / "f") == 2
