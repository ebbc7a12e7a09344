-- Custom storage volumes.
CREATE TABLE volume (
  id      TEXT PRIMARY KEY,
  pool    TEXT NOT NULL,
  project TEXT NOT NULL,
  name    TEXT NOT NULL,
  body    TEXT NOT NULL CHECK (json_valid(body)),
  UNIQUE (pool, project, name)
) STRICT;
