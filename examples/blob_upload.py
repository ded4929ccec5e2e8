"""One object in a dataset that was told nothing but its metadata: the defaults do the rest."""

from __future__ import annotations

from pathlib import Path

from holdfast import Dataset, FileSystemStore

Path("photo.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))

photos = Dataset("photos", FileSystemStore("store"))
with Path("photo.png").open("rb") as file:
    snapshot = photos.write(file, {"taken": "2024-05-01", "camera": "k2"})

print(snapshot.files[0].path, snapshot.files[0].size_bytes, snapshot.files[0].checksum[:16])
print(dict(photos.latest().metadata), photos.read() == Path("photo.png").read_bytes())
