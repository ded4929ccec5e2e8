"""Streams: objects of any length in constant memory, whole or not there."""

from __future__ import annotations

import holdfast

with holdfast.init("archive") as repo:
    readings = repo.dataset("readings", codec="parquet", compressor="none")
    with readings.stream_write_records({"sensor": 4}) as records:
        for day in range(10):
            records.write({"day": day, "n": n, "value": n / 7} for n in range(5000))
    print(records.snapshot.row_count, "rows in", len(records.snapshot.files), "file")

    video = repo.dataset("video")
    try:
        with video.stream_write() as stream:
            stream.write(bytes(3 << 20))
            raise InterruptedError
    except InterruptedError:
        print("after an exception:", len(list(video.snapshots())), "snapshots")

    with video.stream_write() as stream:
        for _ in range(5):
            stream.write(bytes(1 << 20))
    with stream.snapshot.open() as file:
        file.seek(4 << 20)
        print(len(file.read(100)), "bytes from the middle, of", stream.snapshot.files[0].size_bytes)
