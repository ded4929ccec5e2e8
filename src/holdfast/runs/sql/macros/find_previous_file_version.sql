-- The current version of a path, whatever its bytes: at most one row.
-- SELECT * FROM find_previous_file_version('<project id>', 'sub/name.csv');
CREATE OR REPLACE MACRO find_previous_file_version(proj_id, fname) AS TABLE
    SELECT id, run_id, file_hash FROM files
    WHERE project_id = proj_id AND filename = fname AND NOT is_superseded
    LIMIT 1;
