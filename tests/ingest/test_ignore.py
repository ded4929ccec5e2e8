"""`.holdfastignore` decides as git does: git itself is the oracle."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.ingest.ignore import Ignore, parse_ignore_file
from holdfast.ingest.walk import Link, Skip, walk

NAMES = ["a", "b", "ab", "abc", "a.log", "b.log", "[a]", "!a", "#a", "a b", "keep", "x\ny", "é"]
COMPONENTS = [
    *["a", "b", "ab", "*", "?", "*.log", "a*", "*b*", "[ab]", "[!a]", "[a-c]*", "[[:alpha:]]"],
    *["keep", "\\#a", "\\!a", "[[]a]", "a?", "*a*c", "é", "[^.]*", "[]a]", "[a", "\\a", "[[:x:]]"],
    *["***", "?\\b", "[a\\]b]", "[--0]*", "[b-a]", "x?y", "x*"],
]


def patterns():
    component = st.sampled_from(COMPONENTS) | st.just("**")
    body = st.lists(component, min_size=1, max_size=3).map("/".join)
    return st.builds(
        lambda bang, lead, text, tail: bang + lead + text + tail,
        st.sampled_from(["", "", "", "!"]),
        st.sampled_from(["", "", "/"]),
        body,
        st.sampled_from(["", "", "/", " ", "\\ ", "\r", "/ "]),
    )


ignore_files = st.lists(patterns() | st.sampled_from(["", "# note", "!", "/"]), max_size=5)


@pytest.fixture(scope="module")
def git_tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    (root / ".git" / "info" / "exclude").write_bytes(b"")
    files = []
    for outer in ("a", "b", "keep", "[a]"):
        for inner in ("a", "ab", "keep"):
            (root / outer / inner).mkdir(parents=True)
            for name in NAMES:
                file = root / outer / inner / ("f" if name in ("keep",) else name)
                file.write_bytes(b"")
                files.append(file)
        for name in ("abc", "a.log", "x\ny", "#a"):
            (root / outer / name).write_bytes(b"")
            files.append(root / outer / name)
    for name in ("abc", "a.log", "!a"):
        (root / name).write_bytes(b"")
        files.append(root / name)
    return root, sorted({os.fsencode(f.relative_to(root)) for f in files})


def ignored_by_git(root, files):
    environment = {"PATH": os.environ["PATH"], "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", "-c", "core.excludesFile=/dev/null", "check-ignore", "-z", "--stdin", "--no-index"],
        input=b"\0".join(files) + b"\0",
        cwd=root,
        capture_output=True,
        check=False,
        env=environment,
    )
    assert done.returncode in (0, 1), done.stderr
    return {path for path in done.stdout.split(b"\0") if path}


def taken_in(root, ignore_file):
    seen = set()
    with walk(root, ignore_file=ignore_file) as found:
        for entry in found:
            if not isinstance(entry, (Link, Skip)):
                seen.add(entry.path)
    return seen


@settings(max_examples=120, deadline=None)
@given(top=ignore_files, nested=ignore_files, deeper=ignore_files)
def test_the_walk_leaves_out_exactly_what_git_ignores(git_tree, top, nested, deeper):
    root, files = git_tree
    for folder, lines in ((root, top), (root / "a", nested), (root / "a" / "ab", deeper)):
        (folder / ".gitignore").write_bytes("\n".join(lines).encode())
    expected = set(files) - ignored_by_git(root, files)
    assert taken_in(root, b".gitignore") & set(files) == expected


@settings(max_examples=200, deadline=None)
@given(text=st.binary(max_size=24), name=st.binary(min_size=1, max_size=12))
def test_any_bytes_are_an_ignore_file(text, name):
    rules = Ignore(parse_ignore_file(text))
    assert rules.ignores(name, name, is_folder=False) in (True, False)


def test_a_pattern_of_many_stars_meets_a_long_name_without_hanging():
    rules = Ignore(parse_ignore_file(b"*a" * 60 + b"b\n" + b"**/a/" * 40 + b"b\n"))
    assert not rules.ignores(b"a" * 255, b"a" * 255, is_folder=False)
    deep = b"/".join([b"a"] * 400)
    assert not rules.ignores(deep, b"a", is_folder=False)


def test_a_name_that_is_not_utf8_can_be_matched():
    rules = Ignore(parse_ignore_file(b"\xff*\n"))
    assert rules.ignores(b"\xffx", b"\xffx", is_folder=False)
    assert not rules.ignores(b"x", b"x", is_folder=False)


def test_an_ignored_folder_is_not_entered(tmp_path: Path):
    (tmp_path / "out" / "deep").mkdir(parents=True)
    (tmp_path / "out" / "deep" / "x").write_bytes(b"")
    (tmp_path / ".holdfastignore").write_bytes(b"out/\n!out/deep/x\n")
    assert taken_in(tmp_path, b".holdfastignore") == {b".holdfastignore"}
