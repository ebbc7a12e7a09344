-- Network ACLs.
CREATE TABLE acl (
  id      TEXT PRIMARY KEY,
  project TEXT NOT NULL,
  name    TEXT NOT NULL,
  body    TEXT NOT NULL CHECK (json_valid(body)),
  UNIQUE (project, name)
) STRICT;
