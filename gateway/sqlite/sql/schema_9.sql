-- Version 9: what operators did (`gateway.ports.operation_log`). Times are the wall clock's.
CREATE TABLE operation (
    operation_id INTEGER PRIMARY KEY AUTOINCREMENT,
    verb TEXT NOT NULL,
    operator TEXT NOT NULL,
    why TEXT NOT NULL,
    target TEXT NOT NULL, -- the destination that deliveries were sent to, where one was named
    filter TEXT NOT NULL, -- JSON: the deliveries that were meant
    meant INTEGER NOT NULL, -- their number when it began
    done INTEGER NOT NULL,
    stayed INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('running', 'complete', 'interrupted')),
    began_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
