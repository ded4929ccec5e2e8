from __future__ import annotations

import os

import pytest

from holdfast.restore import tree as module
from holdfast.restore.tree import Tree, remove_tree


@pytest.fixture
def root(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_coming_up_from_a_deep_folder_takes_one_step_for_each_level(root, monkeypatch):
    tree = Tree(root)
    tree.folder((b"d",) * 300)
    opened = []
    real = os.open

    def counted(*args, **named):
        opened.append(args[0])
        return real(*args, **named)

    monkeypatch.setattr(module.os, "open", counted)
    for depth in range(299, 0, -1):
        tree.folder((b"d",) * depth)
    tree.close()
    assert len(opened) <= 300


def test_a_folder_moved_away_meanwhile_is_not_taken_for_the_one_above(root, tmp_path):
    tree = Tree(root)
    tree.folder((b"d",) * 100)
    (tmp_path / "elsewhere").mkdir()
    kept = os.path.join(tmp_path, *["d"] * 59)
    os.rename(f"{kept}/d", tmp_path / "elsewhere" / "d")
    for depth in range(99, 58, -1):
        folder = tree.folder((b"d",) * depth)
    assert os.path.sameopenfile(folder.fd, os.open(kept, os.O_RDONLY))
    tree.close()


def test_removing_stops_where_a_folder_was_moved_to_another_place(root, tmp_path, monkeypatch):
    (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_bytes(b"precious")
    real = module._clear

    def moving(fd):
        inner = real(fd)
        if inner is None and (tmp_path / "tree" / "a" / "b").exists():
            os.rename(tmp_path / "tree" / "a" / "b", tmp_path / "precious" / "b")
        return inner

    monkeypatch.setattr(module, "_clear", moving)
    with pytest.raises(OSError, match="moved"):
        remove_tree(root, b"tree")
    assert (tmp_path / "precious" / "file").read_bytes() == b"precious"
