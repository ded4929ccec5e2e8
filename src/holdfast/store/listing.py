"""What lies below a folder of the file system, in the order of path bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from holdfast.store.durable import typed
from holdfast.store.paths import LOCKS, is_listed_name
from holdfast.store.protocol import Entry

if TYPE_CHECKING:
    from holdfast.store.calls import SystemCalls

_DOING = "listing the folder"


def list_files(calls: SystemCalls, full: str, folder: str) -> Iterator[Entry]:
    """Every regular file below the absolute path `full`, ascending by path bytes; entry paths
    begin with `folder` (relative, "" for the root).

    Holds the names of the folders on the way down, not the whole tree. What vanishes meanwhile is
    left out; symlinks, special files, temporary and lock files are not listed.
    """
    # One iterator for each open folder on the way down: no recursion, however deep the tree.
    open_folders = [(full, folder, _sorted_names(calls, full, folder))]
    while open_folders:
        full, folder, names = open_folders[-1]
        for name in names:
            is_folder = name[-1] == "/"
            path = f"{folder}/{name}" if folder else name
            if is_folder:
                below = f"{full}/{name[:-1]}"
                open_folders.append((below, path[:-1], _sorted_names(calls, below, path[:-1])))
                break
            size = _file_size(calls, f"{full}/{name}")
            if size is not None:
                yield Entry(path, size)
        else:
            open_folders.pop()


def list_children(calls: SystemCalls, full: str, folder: str) -> tuple[list[str], list[Entry]]:
    """(names of the folders, files) directly in `full`, both ascending; as `list_files`."""
    folders: list[str] = []
    files: list[Entry] = []
    for name in _sorted_names(calls, full, folder):
        if name[-1] == "/":
            folders.append(name[:-1])
        else:
            size = _file_size(calls, f"{full}/{name}")
            if size is not None:
                files.append(Entry(f"{folder}/{name}" if folder else name, size))
    folders.sort()
    return folders, files


def _sorted_names(calls: SystemCalls, full: str, folder: str) -> Iterator[str]:
    """Names in the folder, those of folders with a slash behind: so they sort as full paths do.

    Code points sort as their UTF-8 bytes do.
    """
    with typed(_DOING, full):
        try:
            found = calls.list_folder(full)
        except (FileNotFoundError, NotADirectoryError):
            found = []
    return iter(
        sorted(
            f"{name}/" if is_folder else name
            for name, is_folder in found
            if is_listed_name(name) and not (folder == "" and name == LOCKS)
        )
    )


def _file_size(calls: SystemCalls, full: str) -> int | None:
    with typed(_DOING, full):
        try:
            status = calls.stat(full)
        except (FileNotFoundError, NotADirectoryError):
            return None
    return status.size if status.is_file else None
