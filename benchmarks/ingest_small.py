"""Ingest of 10,000 small files, durable at the end, against a bare loop and against peers.

The bare loop is read + sha256 + write of every file in one Python thread, then one syncfs. Ours and
the bare loop run in this process; whole processes are compared with restic, dvc and git.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import random
from pathlib import Path

from measure import (
    holdfast_command,
    interleave,
    median,
    peer,
    save,
    timed,
    version,
    whole_process,
    workspace,
)

FILES = int(os.environ.get("HOLDFAST_BENCH_FILES", "10000"))
LIBC = ctypes.CDLL(None, use_errno=True)


def make_tree(root: Path, files: int, seed: int = 1) -> int:
    """`files` files of 0.2 to 16 KiB, a hundred a folder; returns the bytes."""
    rng = random.Random(seed)
    total = 0
    for number in range(files):
        folder = root / f"d{number // 1000:02d}" / f"e{number % 1000 // 100}"
        if number % 100 == 0:
            folder.mkdir(parents=True, exist_ok=True)
        size = int(2 ** rng.uniform(7.7, 14))
        (folder / f"f{number:06d}.dat").write_bytes(rng.randbytes(size))
        total += size
    return total


def syncfs(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        if LIBC.syncfs(fd):
            raise OSError(ctypes.get_errno(), "syncfs")
    finally:
        os.close(fd)


def bare_loop(source: Path, target: Path) -> None:
    """Read, hash, write every file; one syncfs."""
    for folder, _, names in os.walk(source):
        into = os.path.join(target, os.path.relpath(folder, source))
        os.makedirs(into, exist_ok=True)
        for name in names:
            fd = os.open(os.path.join(folder, name), os.O_RDONLY)
            data = os.read(fd, 1 << 20)
            os.close(fd)
            hashlib.sha256(data).hexdigest()
            fd = os.open(os.path.join(into, name), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(fd, data)
            os.close(fd)
    syncfs(target)


def main() -> None:
    import holdfast

    with workspace("ingest_small") as work:
        tree = work / "tree"
        tree.mkdir()
        size = make_tree(tree, FILES)

        def bare(number: int) -> float:
            target = work / f"bare{number}"
            target.mkdir()
            return timed(lambda: bare_loop(tree, target))

        def ours(number: int) -> float:
            with holdfast.init(work / f"ours{number}") as repo:
                return timed(lambda: repo.ingest(tree, project="bench"))

        def ours_again(number: int) -> float:
            with holdfast.open(work / f"ours{number}") as repo:
                return timed(lambda: repo.ingest(tree, project="bench"))

        def ours_process(number: int) -> float:
            repo = str(work / f"cli{number}")
            whole_process([holdfast_command(), "init", repo])
            return whole_process([holdfast_command(), "-R", repo, "ingest", str(tree)])

        contenders = {
            "bare loop": bare,
            "holdfast": ours,
            "holdfast again (all unchanged)": ours_again,
            "holdfast, whole process": ours_process,
        }
        if restic := peer("restic"):
            environment = os.environ | {"RESTIC_PASSWORD": "bench"}

            def run_restic(number: int) -> float:
                repo = ["-r", str(work / f"restic{number}"), "--no-cache"]
                whole_process([restic, *repo, "init"], env=environment)
                return whole_process([restic, *repo, "backup", str(tree)], env=environment)

            contenders["restic backup, whole process"] = run_restic
        if dvc := peer("dvc"):

            def run_dvc(number: int) -> float:
                repo = work / f"dvc{number}"
                whole_process(["cp", "-r", str(tree), str(repo)])
                whole_process([dvc, "init", "--no-scm", "-q"], cwd=repo)
                whole_process([dvc, "config", "core.analytics", "false"], cwd=repo)
                return whole_process(
                    [
                        dvc,
                        "add",
                        "-q",
                        "d00",
                        *[f"d{i:02d}" for i in range(1, (FILES + 999) // 1000)],
                    ],
                    cwd=repo,
                )

            contenders["dvc add, whole process"] = run_dvc
        if git := peer("git"):

            def run_git(number: int) -> float:
                repo = work / f"git{number}"
                whole_process(["cp", "-r", str(tree), str(repo)])
                whole_process([git, "init", "-q", "."], cwd=repo)
                return whole_process([git, "add", "."], cwd=repo)

            contenders["git add, whole process"] = run_git
        raw = interleave(contenders)
        middle = {name: median(values) for name, values in raw.items()}
        save(
            "ingest_small",
            files=FILES,
            bytes=size,
            seconds=raw,
            median_seconds=middle,
            files_per_second={name: round(FILES / value) for name, value in middle.items()},
            ratio_to_bare_loop=round(
                median([b / o for b, o in zip(raw["bare loop"], raw["holdfast"], strict=True)]), 3
            ),
            target="ratio_to_bare_loop >= 0.75, whole process ahead of restic, dvc and git",
            versions={
                "restic": version(peer("restic"), "version"),
                "dvc": version(peer("dvc")),
                "git": version(peer("git")),
            },
        )


if __name__ == "__main__":
    main()
