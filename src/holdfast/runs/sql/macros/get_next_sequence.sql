-- The sequence number that the next run of a project would get in that second.
-- SELECT get_next_sequence('<project id>', '20260102_030405');
CREATE OR REPLACE MACRO get_next_sequence(proj_id, ts) AS (
    SELECT COALESCE(MAX("sequence"), 0) + 1 FROM runs WHERE project_id = proj_id AND "timestamp" = ts
);
