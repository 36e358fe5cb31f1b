-- Everything that schema version 4 adds: a store that is migrated to another one, or comes from one.
CREATE TABLE migration (
    one integer PRIMARY KEY CHECK (one = 1),
    migration_id text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL CHECK (role IN ('source', 'destination')),
    place text COLLATE "C" NOT NULL, -- the other store, for people
    is_complete smallint NOT NULL
);
