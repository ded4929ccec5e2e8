"""Trees for tests of ingest and restore: make one, describe one, generate one."""

import os
import stat
import subprocess
from dataclasses import dataclass

from hypothesis import strategies as st


@dataclass(frozen=True)
class Node:
    """What one path is: content of a file, target of a symlink, neither for a folder."""

    kind: str
    content: bytes = b""
    mode: int = 0o644
    mtime_ns: int = 1_700_000_000_123_456_789


def describe(root) -> dict[bytes, Node]:
    """Every file, symlink and empty folder below `root`, by path bytes."""
    root = os.fsencode(root)
    found = {}
    waiting = [root]
    while waiting:
        here = waiting.pop()
        names = os.listdir(here)
        if not names and here != root:
            status = os.lstat(here)
            found[here[len(root) + 1 :]] = Node(
                "directory", mode=stat.S_IMODE(status.st_mode), mtime_ns=status.st_mtime_ns
            )
        for name in names:
            full = here + b"/" + name
            status = os.lstat(full)
            if stat.S_ISDIR(status.st_mode):
                waiting.append(full)
                continue
            if stat.S_ISLNK(status.st_mode):
                node = Node("symlink", os.readlink(full), 0o777, status.st_mtime_ns)
            else:
                with open(full, "rb") as file:
                    content = file.read()
                node = Node("file", content, stat.S_IMODE(status.st_mode), status.st_mtime_ns)
            found[full[len(root) + 1 :]] = node
    return found


def plant(root, nodes: dict[bytes, Node]) -> None:
    """Make `nodes` below `root`, which is made too."""
    root = os.fsencode(root)
    os.makedirs(root, exist_ok=True)
    for path, node in nodes.items():
        full = root + b"/" + path
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if node.kind == "symlink":
            os.symlink(node.content, full)
        elif node.kind == "directory":
            os.makedirs(full, exist_ok=True)
        else:
            with open(full, "wb") as file:
                file.write(node.content)
    for path, node in nodes.items():
        full = root + b"/" + path
        if node.kind != "symlink":
            os.chmod(full, node.mode)
        os.utime(full, ns=(node.mtime_ns, node.mtime_ns), follow_symlinks=False)


def chain(root, names, leaf: bytes | None = None) -> None:
    """Folders `names`, each in the one before, below `root`; a file ``leaf`` in the last."""
    here = os.open(root, os.O_RDONLY)
    for name in names:
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    if leaf is not None:
        file = os.open("leaf", os.O_CREAT | os.O_WRONLY, dir_fd=here)
        os.write(file, leaf)
        os.close(file)
    os.close(here)


def remove(root, name: str) -> None:
    """Remove a tree that is too deep for `shutil.rmtree`."""
    subprocess.run(["rm", "-rf", name], cwd=root, check=True)


def plain(root, **files: bytes) -> None:
    """Files with plain names; ``__`` stands for a slash."""
    plant(
        root, {name.replace("__", "/").encode(): Node("file", data) for name, data in files.items()}
    )


_HOSTILE = [
    *[b"a", b"A", b"b.txt", b"B.TXT", b"...", b"..a", b"-rf", b"~", b" ", b"a b", b"\n", b"x\ny"],
    *[b"\xff\xfe", b"caf\xc3\xa9", b"cafe\xcc\x81", b"\\", b"a\\b", b"%41", b"%", b"%~2", b"CON"],
    *[b"\x01\x1b[31m", b"\xe2\x80\xae", b".hf-0123456789abcdef", b"run.json", b"journal.jsonl"],
    *[
        b"raw_source",
        b"claim",
        b"n" * 255,
        b"\xc3\xa9" * 127,
        b"'\"`$(x)",
        b"*?[x]",
        b"con.",
        b"\t",
    ],
    *[b"a%~2", b".hf-", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80"],
]

names = st.sampled_from(_HOSTILE) | st.binary(min_size=1, max_size=40).map(
    lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_")
).filter(lambda raw: raw not in (b".", b"..", b".holdfastignore", b"holdfast.json"))
_times = st.integers(0, 2**33).map(lambda s: s * 1_000_000_000 + s % 1_000_000_000)
_modes = st.sampled_from([0o644, 0o600, 0o755, 0o444, 0o400, 0o664, 0o777, 0o640])
_files = st.builds(
    Node, st.just("file"), st.binary(max_size=80) | st.just(b"same bytes"), _modes, _times
)
_links = st.builds(
    Node,
    st.just("symlink"),
    st.sampled_from([b"a", b"../x", b"/etc/passwd", b"\xff", b"no where", b"a/b/../c"]),
    st.just(0o777),
    _times,
)
_folders = st.builds(
    Node, st.just("directory"), st.just(b""), st.sampled_from([0o755, 0o700, 0o500]), _times
)


@st.composite
def trees(draw, max_size: int = 12) -> dict[bytes, Node]:
    """Up to `max_size` files, symlinks and empty folders with hostile names."""
    nodes: dict[bytes, Node] = {}
    taken_as_folder: set[bytes] = {b""}
    for node in draw(st.lists(_files | _links | _folders, max_size=max_size)):
        folder = draw(st.sampled_from(sorted(taken_as_folder)))
        if draw(st.integers(0, 3)) == 0:
            below = (folder + b"/" if folder else b"") + draw(names)
            if below not in nodes and len(below) < 2000:
                taken_as_folder.add(below)
                folder = below
        path = (folder + b"/" if folder else b"") + draw(names)
        if path not in nodes and path not in taken_as_folder:
            nodes[path] = node
    return nodes
