INSERT INTO files
SELECT id, project_id, run_id, filename, file_path, file_hash, file_size_bytes,
       superseded_by IS NOT NULL, superseded_by, created_at, processed_at
FROM new_files;
