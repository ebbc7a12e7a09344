-- What was deleted and is kept for a while.
CREATE TABLE trash (
  id   TEXT PRIMARY KEY,
  body TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
