-- Snapshots of instances.
CREATE TABLE snapshot (
  id       TEXT PRIMARY KEY,
  instance TEXT NOT NULL,
  name     TEXT NOT NULL,
  body     TEXT NOT NULL CHECK (json_valid(body)),
  UNIQUE (instance, name)
) STRICT;
