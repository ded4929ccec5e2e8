"""README and guides do what they say."""

from __future__ import annotations

import inspect
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


INSIDE = {"anchored", "opened"}
"""Names without an underscore that only other parts of Holdfast use."""

PAGES = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md", "benchmarks/README.md"),
    *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")),
]


def links(document: Path) -> list[str]:
    """The targets of a document's links to other files, without what follows a `#`."""
    return re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())


@pytest.mark.parametrize("name", PAGES)
def test_the_links_of_a_document_lead_somewhere(name: str) -> None:
    document = ROOT / name
    for link in links(document):
        assert (document.parent / link).exists(), f"{name}: {link}"


def test_the_index_leads_to_every_page_and_the_list_of_decisions_to_every_decision() -> None:
    docs = ROOT / "docs"
    found = {(docs / link).resolve() for link in links(docs / "index.md")}
    decisions = docs / "decisions"
    listed = {(decisions / link).resolve() for link in links(decisions / "README.md")}
    pages = set(docs.rglob("*.md")) - {docs / "index.md"}
    assert {page.name for page in pages if page.parent == decisions and page not in listed} == {
        "README.md"
    }
    assert not [page for page in pages if page.parent != decisions and page not in found]
    assert {ROOT / "README.md", ROOT / "CONTRIBUTING.md", decisions / "README.md"} <= found


@pytest.mark.parametrize("name", [n for n in PAGES if n.startswith(("docs/guide", "docs/spec"))])
def test_a_page_says_what_it_does_not_do(name: str) -> None:
    assert re.search(r"^## What .* (does not do|does not cover)$", (ROOT / name).read_text(), re.M)


def test_api_md_names_every_public_name() -> None:
    import holdfast

    text = (ROOT / "docs/api.md").read_text()
    missing = [name for name in holdfast.__all__ if not re.search(rf"`(holdfast\.)?{name}\b", text)]
    assert not missing


def test_api_md_names_everything_that_can_be_given_to_and_asked_of_a_public_class() -> None:
    import holdfast
    from holdfast.testing import crash_model, faults, store_contract, strategies

    text = (ROOT / "docs/api.md").read_text()
    known = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))
    wanted = set()
    for public in (holdfast.Repository, holdfast.Ledger, holdfast.Runs, holdfast.Store):
        wanted |= {name for name in dir(public) if not name.startswith("_")}
    for function in (
        *(holdfast.init, holdfast.open, holdfast.Repository.ingest, holdfast.Repository.verify),
        *(holdfast.Repository.__init__, holdfast.Ledger.__init__, holdfast.Runs.__init__),
    ):
        wanted |= inspect.signature(function).parameters.keys() - {"self"}
    for module in (store_contract, crash_model, faults, strategies):
        wanted |= {
            name
            for name, value in vars(module).items()
            if getattr(value, "__module__", "") == module.__name__
            and not name.startswith("_")
            and (inspect.isclass(value) or module is strategies)
        }
    assert sorted(wanted - known - INSIDE) == []


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
