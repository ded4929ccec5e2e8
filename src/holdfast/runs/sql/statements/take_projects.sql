INSERT INTO projects SELECT id, name, folder, description, created_at, created_at FROM new_projects
ON CONFLICT (id) DO NOTHING;
