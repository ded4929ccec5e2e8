UPDATE files SET
    is_superseded = files.is_superseded OR changes.superseded_by IS NOT NULL,
    superseded_by = COALESCE(files.superseded_by, changes.superseded_by),
    processed_at = COALESCE(files.processed_at, changes.processed_at)
FROM changes WHERE files.id = changes.id;
