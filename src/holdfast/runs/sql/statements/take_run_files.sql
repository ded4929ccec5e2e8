INSERT INTO run_files SELECT run_id, file_id, outcome FROM new_run_files;
