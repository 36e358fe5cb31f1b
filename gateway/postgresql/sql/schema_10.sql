-- Everything that schema version 10 adds: pauses (`gateway.ports.pauses`), one row for each that was ever paused.
CREATE TABLE pause (
    pause_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    operator text COLLATE "C" NOT NULL,
    why text COLLATE "C" NOT NULL,
    began_at bigint NOT NULL, -- by the wall clock
    resumed_at bigint -- by the server's clock; NULL while it goes on
);
CREATE UNIQUE INDEX pause_by_name ON pause (kind, name);
