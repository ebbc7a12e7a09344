-- One table per noun. `body` is the whole record as JSON; the columns beside it are its keys, for
-- uniqueness and for people who look in with sqlite3. The daemon reads bodies only.
CREATE TABLE instance (
  id      TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  name    TEXT NOT NULL,
  status  TEXT NOT NULL,
  body    TEXT NOT NULL CHECK (json_valid(body)),
  UNIQUE (project, name)
) STRICT;

CREATE TABLE image (
  id          TEXT PRIMARY KEY,
  project     TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  body        TEXT NOT NULL CHECK (json_valid(body)),
  UNIQUE (project, fingerprint)
) STRICT;

CREATE TABLE network (
  id      TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  name    TEXT NOT NULL,
  body    TEXT NOT NULL CHECK (json_valid(body)),
  UNIQUE (project, name)
) STRICT;

CREATE TABLE profile (
  id      TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  name    TEXT NOT NULL,
  body    TEXT NOT NULL CHECK (json_valid(body)),
  UNIQUE (project, name)
) STRICT;

CREATE TABLE pool (
  id   TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  body TEXT NOT NULL CHECK (json_valid(body))
) STRICT;

CREATE TABLE job (
  id   INTEGER PRIMARY KEY,
  verb TEXT NOT NULL,
  body TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
