"""What changed between two states of a folder."""

from __future__ import annotations

from pathlib import Path

import holdfast

folder = Path("report")
folder.mkdir()
(folder / "text.md").write_text("# Draft\n")
(folder / "old.png").write_bytes(b"\x89PNG")

with holdfast.init("archive") as repo:
    before = repo.ingest(folder).sources[0].run_id

    (folder / "text.md").write_text("# Final\n")
    (folder / "new.png").write_bytes(b"\x89PNG...")
    (folder / "old.png").unlink()
    after = repo.ingest(folder).sources[0].run_id

    diff = repo.runs.diff(before, after)
    print("added:  ", [version.name for version in diff.added])
    print("removed:", [version.name for version in diff.removed])
    print("changed:", [new.name for _, new in diff.changed])

    repo.restore(before, "as-it-was")
    print("as it was:", (Path("as-it-was") / "text.md").read_text().strip())
