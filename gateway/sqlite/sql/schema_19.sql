-- Version 19: what is known of studies whose instances were forgotten (`gateway.ports.trace_entries`).
CREATE TABLE trace_entry (
    entry_id INTEGER PRIMARY KEY AUTOINCREMENT,
    study_instance_uid TEXT NOT NULL,
    role TEXT NOT NULL, -- sender or destination
    name TEXT NOT NULL,
    instances INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    most_attempts INTEGER NOT NULL,
    first_received_at INTEGER NOT NULL,
    last_received_at INTEGER NOT NULL,
    last_delivered_at INTEGER,
    changed_at INTEGER NOT NULL -- in the queue's time
) STRICT;
CREATE UNIQUE INDEX trace_entry_by_study ON trace_entry (study_instance_uid, role, name);
CREATE INDEX trace_entry_by_change ON trace_entry (changed_at);
