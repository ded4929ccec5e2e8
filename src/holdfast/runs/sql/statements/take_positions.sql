INSERT INTO holdfast_taken
SELECT run_dir, project_id, bytes, batches, lines, hash, run_json, sealed FROM new_positions
ON CONFLICT (run_dir) DO UPDATE SET
    bytes = EXCLUDED.bytes,
    batches = EXCLUDED.batches,
    lines = EXCLUDED.lines,
    hash = EXCLUDED.hash,
    run_json = EXCLUDED.run_json,
    sealed = EXCLUDED.sealed;
