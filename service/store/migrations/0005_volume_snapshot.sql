-- Snapshots of custom storage volumes.
CREATE TABLE volume_snapshot (
  id     TEXT PRIMARY KEY,
  volume TEXT NOT NULL,
  name   TEXT NOT NULL,
  body   TEXT NOT NULL CHECK (json_valid(body)),
  UNIQUE (volume, name)
) STRICT;
