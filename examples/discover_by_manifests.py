"""What a store holds, by its manifests alone: no configuration, no data file is read."""

from __future__ import annotations

from holdfast import Dataset, DatasetReader, FileSystemStore

store = FileSystemStore("store")
Dataset("rain", store, codec="jsonl").write([{"mm": 1.5}, {"mm": 0.0}], {"station": "a"})
Dataset("rain", store).append([{"mm": 4.0}], {"station": "b"})
Dataset("photo", store, compressor="zstd").write(b"\x89PNG")

reader = DatasetReader(store)
for dataset in reader.list_datasets():
    for ref in reader.list_manifests(dataset):
        manifest = reader.get_manifest(dataset, ref)
        form = f"{manifest.codec or 'raw'}, {manifest.compressor}"
        print(f"{dataset}: {form}, {manifest.row_count} rows, {manifest.metadata}")
        for file in manifest.files:
            bounds = [(c.name, c.min, c.max) for c in file.stats.columns] if file.stats else []
            print("   ", file.path, file.size_bytes, bounds)

newest = list(reader.list_manifests("rain"))[-1]
file = reader.get_manifest("rain", newest).files[-1]
print(reader.read_range(file, 0, 7))
