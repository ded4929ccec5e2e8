"""The guides to ingest, verify and repair do what they say."""

import pytest

from acceptance.documents import ROOT, check


@pytest.mark.parametrize("name", ["ingest.md", "verify-and-repair.md"])
def test_the_commands_and_programs_of_a_guide_work(name, tmp_path):
    assert check(ROOT / "docs/guide" / name, tmp_path) > 5
