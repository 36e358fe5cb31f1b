-- Version 10: pauses (`gateway.ports.pauses`), one row for each that was ever paused.
CREATE TABLE pause (
    pause_id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    operator TEXT NOT NULL,
    why TEXT NOT NULL,
    began_at INTEGER NOT NULL, -- by the wall clock
    resumed_at INTEGER -- in the queue's time; NULL while it goes on
) STRICT;
CREATE UNIQUE INDEX pause_by_name ON pause (kind, name);
