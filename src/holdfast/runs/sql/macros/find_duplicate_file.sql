-- The current version of a path, when it has these bytes: at most one row.
-- SELECT * FROM find_duplicate_file('<project id>', 'sub/name.csv', '<sha256>');
CREATE OR REPLACE MACRO find_duplicate_file(proj_id, fname, fhash) AS TABLE
    SELECT id, run_id, file_path FROM files
    WHERE project_id = proj_id AND filename = fname AND file_hash = fhash AND NOT is_superseded
    LIMIT 1;
