"""A program that keeps what it makes, with what it made it from."""

from __future__ import annotations

from pathlib import Path

import holdfast

data = Path("measurements")
data.mkdir()
(data / "day-1.csv").write_text("t,v\n1,20.5\n2,21.0\n")
(data / "day-2.csv").write_text("t,v\n1,19.0\n")

with holdfast.init("archive") as repo:
    source = repo.ingest(data).sources[0]
    # The commit that took the measurements in is the input of what is computed from them.
    logseq = repo.ledger.find_commit("run", source.project, source.run_id)

    with repo.run("mean", project="measurements", inputs=[f"commit:{logseq}"]) as run:
        total, count = 0.0, 0
        for version in repo.runs.current_files("measurements"):
            with repo.runs.open_file(version) as file:
                rows = file.read().decode().splitlines()[1:]
            total += sum(float(row.split(",")[1]) for row in rows)
            count += len(rows)
        run.put_artifact("statistics", "mean.txt", f"{total / count:.2f}\n".encode())

    for _, commit in repo.ledger.commits(model="run"):
        print(commit.name, commit.id, "from", ", ".join(commit.inputs) or "outside")
