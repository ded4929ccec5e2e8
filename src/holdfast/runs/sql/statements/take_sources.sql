INSERT INTO sources SELECT id, project_id, kind, url FROM new_sources ON CONFLICT (id) DO NOTHING;
