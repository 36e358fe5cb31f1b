-- Version 17: copies that are kept after delivery (`keep` of routes and peers), one row for each instance. A table of its own,
-- because the step reads no row of `instance` then.
CREATE TABLE kept_copy (
    instance_id INTEGER PRIMARY KEY,
    kept_until INTEGER NOT NULL, -- in the queue's time
    kept_since INTEGER, -- when its last delivery was delivered or discarded; NULL while the instance owes something
    size_bytes INTEGER NOT NULL
) STRICT;
CREATE INDEX kept_copy_by_end ON kept_copy (kept_until, size_bytes) WHERE kept_since IS NOT NULL;
CREATE INDEX kept_copy_by_age ON kept_copy (kept_since) WHERE kept_since IS NOT NULL;
