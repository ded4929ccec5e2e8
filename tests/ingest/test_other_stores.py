"""The whole way in and out on a store that is no file system."""

import holdfast
from holdfast.store.memory import MemoryStore
from trees import Node, describe, plain, plant


def test_a_tree_goes_into_a_memory_store_and_comes_back(tmp_path):
    plain(tmp_path / "t", a=b"1", sub__b=b"2" * 5000, large=b"3" * (2 << 20))
    plant(
        tmp_path / "t",
        {
            b"\xff": Node("file", b"4"),
            b"l": Node("symlink", b"a"),
            b"e": Node("directory", mode=0o700),
        },
    )
    store = MemoryStore()
    with holdfast.init(store) as repo:
        assert repo.ingest(tmp_path / "t").ok
        assert repo.ingest(tmp_path / "t").counts == {"duplicate": 6}
    with holdfast.open(store) as repo:
        assert repo.restore("t", tmp_path / "back").ok
        assert repo.verify().findings == []
        assert repo.fsck(repair=True).ok
        assert repo.gc().removed == []
        assert repo.status().runs == {"completed": 2}
    assert describe(tmp_path / "back") == describe(tmp_path / "t")
