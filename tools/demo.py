"""`make demo`: keep a real folder, bring it back byte for byte, and find one flipped bit.

    python tools/demo.py [SOURCE]

SOURCE is copied into ``.demo/`` first and never touched; by default it is the standard library of
the Python that runs this. Everything goes through the command line, as a user would type it; what
the commands claim is checked here by other means (own comparison, sizes on disk, exit codes).
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import stat
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
REPOSITORY = DEMO / ".holdfast"
DAMAGE = 5
"""Exit code of `holdfast verify` when bytes are not what was written."""

_COLOURS = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


class DemoError(Exception):
    """Something was not as it should be."""


def main(argv: list[str]) -> int:
    """Run the whole demonstration; 0 when everything was as said."""
    if len(argv) > 1 or argv[:1] in (["-h"], ["--help"]):
        print("usage: python tools/demo.py [SOURCE]")
        return 0 if argv[0] in ("-h", "--help") else 2
    began = time.monotonic()
    try:
        lines = demonstrate(Path(argv[0]) if argv else None)
    except DemoError as error:
        say(f"\nNot as it should be: {error}", "31")
        return 1
    except KeyboardInterrupt:
        say("\ninterrupted", "31")
        return 130
    heading(f"All as it should be ({time.monotonic() - began:.1f} s)")
    for line in lines:
        print(f"  {line}")
    print(f"\nLook around: cd .demo && {os.path.relpath(holdfast_program())} status")
    return 0


def demonstrate(source: Path | None) -> list[str]:
    heading("A copy of a real folder, so that yours is not touched")
    project = copy_source(source)
    entries = scan(project)
    files = {path: entry for path, entry in entries.items() if entry.kind == "file"}
    total = sum(entry.size for entry in files.values())
    print(f"{project}: {len(files):,} files, {total / 2**20:.1f} MiB")
    if not files:
        raise DemoError("the folder has no files; choose another SOURCE")

    heading("Take it in")
    os.chdir(DEMO)
    show("cd .demo")
    holdfast("init")
    seconds = timed("ingest", project.name)
    first = newest_run()
    expect("files taken in", first["counts"].get("new_file", 0), len(entries))
    stored = stored_bytes()

    heading("Take it in again: nothing is stored twice")
    timed("ingest", project.name)
    again = newest_run()
    expect("duplicates", again["counts"].get("duplicate", 0), len(entries))
    expect("entries that are no duplicates", other_than(again, "duplicate"), 0)
    expect("bytes of stored files", stored_bytes(), stored)
    print(f"stored files: {stored:,} bytes before, {stored_bytes():,} after")

    heading("Change one file of the copy, take it in: one new version")
    changed = max(files, key=lambda path: (writable(project / path), -abs(files[path].size - 4096)))
    with (project / changed).open("ab") as file:
        file.write(b"# one more line\n")
    show(f"echo '# one more line' >> {shlex.quote(f'{project.name}/{changed}')}")
    timed("ingest", project.name)
    third = newest_run()
    expect("new versions", third["counts"].get("new_version", 0), 1)
    expect("entries that are neither", other_than(third, "duplicate", "new_version"), 0)
    grown = stored_bytes() - stored
    expect("bytes stored more", grown, (project / changed).stat().st_size)

    heading("The history, of everything and of that file")
    holdfast("log")
    where = f"{project.name}/{changed}"
    holdfast("log", where)
    expect("versions of the file", len(ask("log", where)["versions"]), 2)

    heading("Restore, and compare every byte, mode, time and link")
    target = f"{project.name}.restored"
    holdfast("restore", project.name, "-o", target)
    compare(project, DEMO / target)

    heading("Verify: every byte against its digest")
    holdfast("verify")

    heading("Flip one bit of one stored file")
    victim = REPOSITORY / ask("show", where)["file"]["stored"]
    undo = flip(victim)
    try:
        output = holdfast("verify", code=DAMAGE)
        name = str(victim.relative_to(REPOSITORY))
        if name not in output:
            raise DemoError(f"verify did not name {name}")
    finally:
        undo()
    print("\nThe bit is put back:")
    holdfast("verify")

    speed = len(entries) / seconds
    return [
        f"{len(entries):,} entries, {total / 2**20:.1f} MiB taken in in {seconds:.1f} s"
        f" ({speed:,.0f} per second)",
        "taken in again: all duplicates, no bytes stored",
        f"one file changed: one new version, {grown:,} bytes stored",
        f"restored and compared byte for byte: {len(entries):,} entries equal",
        f"one flipped bit found and named, exit code {DAMAGE}",
    ]


# -- the command line ---------------------------------------------------------------------------


def holdfast_program() -> str:
    for place in (ROOT / ".venv/bin", Path(sys.executable).parent):
        if (place / "holdfast").is_file():
            return str(place / "holdfast")
    raise DemoError("no holdfast program found; run `make setup`")


def environment() -> dict[str, str]:
    """This process's variables without those that would lead Holdfast elsewhere."""
    return {name: value for name, value in os.environ.items() if name != "HOLDFAST_REPO"}


def holdfast(*arguments: str, code: int = 0) -> str:
    """Run a command in the demo's folder and show it; its output is returned too when the exit
    code `code` is not 0."""
    show(shlex.join(["holdfast", *arguments]))
    command = [holdfast_program(), *arguments]
    output = ""
    if code == 0:
        found = subprocess.run(command, env=environment(), check=False).returncode
    else:
        done = subprocess.run(
            command,
            env=environment(),
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        found, output = done.returncode, done.stdout.decode("utf-8", "replace")
        print(output, end="")
    if found != code:
        raise DemoError(f"exit code {found} instead of {code}")
    if code:
        print(f"(exit code {code})")
    return output


def show(command: str) -> None:
    say(f"\n$ {command}", "1")


def timed(*arguments: str) -> float:
    began = time.monotonic()
    holdfast(*arguments)
    return time.monotonic() - began


def ask(*arguments: str) -> dict[str, Any]:
    """A command's answer with ``--json``."""
    done = subprocess.run(
        [holdfast_program(), *arguments, "--json"],
        env=environment(),
        check=False,
        stdout=subprocess.PIPE,
    )
    if done.returncode != 0:
        raise DemoError(f"{shlex.join(arguments)} --json: exit code {done.returncode}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def newest_run() -> dict[str, Any]:
    run_id = ask("log", "-n", "1", "--model", "run")["commits"][0]["id"]
    run: dict[str, Any] = ask("show", run_id)["run"]
    return run


def other_than(run: dict[str, Any], *outcomes: str) -> int:
    return sum(number for name, number in run["counts"].items() if name not in outcomes)


def expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise DemoError(f"{what}: {found}, expected {expected}")
    say(f"checked: {what}: {found:,}" if isinstance(found, int) else f"checked: {what}", "32")


def heading(text: str) -> None:
    say(f"\n== {text}", "1;36")


def say(text: str, style: str) -> None:
    print(f"\x1b[{style}m{text}\x1b[0m" if _COLOURS else text, flush=True)


# -- files --------------------------------------------------------------------------------------


def copy_source(source: Path | None) -> Path:
    """SOURCE copied into a fresh ``.demo/``; names what cannot be copied."""
    if source is None:
        source = Path(sysconfig.get_path("stdlib"))
        left_out = {"site-packages", "dist-packages", "__pycache__"}
    else:
        left_out = set()
    source = source.resolve()
    if not source.is_dir():
        raise DemoError(f"{source} is not a folder")
    if DEMO.exists():
        shutil.rmtree(DEMO)
    DEMO.mkdir()
    # A name that a command would take for an option or a hidden folder is made plain.
    target = DEMO / (source.name.lstrip("-.") or "project")

    def ignore(folder: str, names: list[str]) -> list[str]:
        return [n for n in names if n in left_out or not copyable(Path(folder, n))]

    shutil.copytree(source, target, symlinks=True, ignore=ignore)
    return target


def copyable(path: Path) -> bool:
    if path == DEMO or path.name == ".holdfastignore" or (path / "holdfast.json").is_file():
        return False
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return True
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or not os.access(path, os.R_OK):
        print(f"left out: {path} (cannot be read, or is no file)")
        return False
    return True


def writable(path: Path) -> bool:
    return os.access(path, os.W_OK)


class Entry:
    """What there is to compare of one name: kind, mode, time, size, link target."""

    def __init__(self, path: str) -> None:
        found = os.lstat(path)
        self.size = found.st_size
        self.mode = stat.S_IMODE(found.st_mode)
        self.mtime_ns = found.st_mtime_ns
        self.target = ""
        self.kind = "folder"
        if stat.S_ISLNK(found.st_mode):
            self.kind, self.target, self.mode, self.mtime_ns = "link", os.readlink(path), 0, 0
        elif stat.S_ISREG(found.st_mode):
            self.kind = "file"

    def facts(self) -> tuple[object, ...]:
        return (self.kind, self.mode, self.mtime_ns, self.size, self.target)


def scan(root: Path) -> dict[str, Entry]:
    """Every file and link below `root`, and every folder that is empty, by relative path."""
    found: dict[str, Entry] = {}
    for folder, folders, names in os.walk(root):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        if folder != str(root) and not names and not folders:
            entry = Entry(folder)
            entry.size = entry.mtime_ns = 0
            found[os.path.relpath(folder, root)] = entry
        for name in [*names, *links]:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, root)] = Entry(path)
    return found


def compare(left: Path, right: Path) -> None:
    """Raise `DemoError` unless both trees hold the same names, bytes, modes, times and links."""
    ours, theirs = scan(left), scan(right)
    if ours.keys() != theirs.keys():
        names = sorted(ours.keys() ^ theirs.keys())
        raise DemoError(f"{len(names)} names differ, the first is {names[0]!r}")
    for name, entry in ours.items():
        if entry.facts() != theirs[name].facts():
            raise DemoError(f"{name!r}: {entry.facts()} became {theirs[name].facts()}")
        if entry.kind == "file" and not same_bytes(left / name, right / name):
            raise DemoError(f"{name!r}: other bytes")
    say(f"checked: {len(ours):,} entries are equal in bytes, mode, time and link target", "32")


def same_bytes(left: Path, right: Path) -> bool:
    with left.open("rb") as one, right.open("rb") as other:
        while True:
            a, b = one.read(1 << 20), other.read(1 << 20)
            if a != b:
                return False
            if not a:
                return True


def stored_bytes() -> int:
    """Size of all stored files of all runs, each inode once."""
    sizes: dict[int, int] = {}
    for folder, _, names in os.walk(REPOSITORY / "runs"):
        if "raw_source" in Path(folder).parts:
            for name in names:
                found = os.lstat(os.path.join(folder, name))
                sizes[found.st_ino] = found.st_size
    return sum(sizes.values())


def flip(path: Path) -> Any:
    """Flip the lowest bit of the middle byte of `path`; returns how to undo that."""
    before = path.stat()
    offset = before.st_size // 2

    def toggle() -> None:
        path.chmod(before.st_mode | stat.S_IWUSR)
        with path.open("r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1]))
        path.chmod(before.st_mode)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    toggle()
    print(f"one bit at offset {offset:,} of {os.path.relpath(path)}")
    return toggle


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
