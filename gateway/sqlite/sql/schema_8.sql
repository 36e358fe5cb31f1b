-- Version 8: a store that is migrated to another one, or comes from one.
CREATE TABLE migration (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    migration_id TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('source', 'destination')),
    place TEXT NOT NULL, -- the other store, for people
    is_complete INTEGER NOT NULL
) STRICT;
