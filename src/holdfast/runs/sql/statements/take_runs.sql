INSERT INTO runs
SELECT id, project_id, "timestamp", "sequence", "action", status, created_at, completed_at,
       error_message, source_id
FROM new_runs
ON CONFLICT (id) DO UPDATE SET
    status = EXCLUDED.status,
    completed_at = EXCLUDED.completed_at,
    error_message = EXCLUDED.error_message;
