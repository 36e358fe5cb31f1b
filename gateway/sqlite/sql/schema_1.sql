-- Everything of schema version 1. Times are microseconds since 1970-01-01T00:00Z; identifiers are never used again.
CREATE TABLE spool (spool_id TEXT NOT NULL) STRICT;

CREATE TABLE association (
    association_id INTEGER PRIMARY KEY AUTOINCREMENT,
    facts TEXT NOT NULL
) STRICT;

CREATE TABLE instance (
    instance_id INTEGER PRIMARY KEY AUTOINCREMENT,
    sop_class_uid TEXT NOT NULL,
    sop_instance_uid TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL,
    series_instance_uid TEXT NOT NULL,
    association_id INTEGER NOT NULL,
    payload_name TEXT NOT NULL,
    payload_offset INTEGER NOT NULL,
    payload_length INTEGER NOT NULL,
    payload_digest BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    settled_at INTEGER -- when its last delivery was delivered or discarded; NULL while it owes something
) STRICT;

CREATE INDEX instance_by_sop_instance_uid ON instance (sop_instance_uid);
CREATE INDEX instance_by_payload ON instance (payload_name, payload_offset);
CREATE INDEX instance_by_association ON instance (association_id);
CREATE INDEX instance_by_settled_at ON instance (settled_at) WHERE settled_at IS NOT NULL;

CREATE TABLE delivery (
    delivery_id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_id INTEGER NOT NULL,
    destination TEXT NOT NULL,
    rule TEXT NOT NULL,
    actions_json TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead', 'held')),
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL, -- under a lease: when the lease ends
    ready_at INTEGER, -- under a lease: when it was due before
    leased_until INTEGER, -- NULL: under no lease
    lease INTEGER NOT NULL DEFAULT 0, -- fencing token: grows with every claim
    reason TEXT NOT NULL DEFAULT ''
) STRICT;

-- Only what is still kept for somebody: the index stays as small as the backlog.
CREATE INDEX delivery_owed ON delivery (destination, state, due_at) WHERE state <> 'delivered';
CREATE INDEX delivery_by_instance ON delivery (instance_id);

CREATE TABLE attempt (
    delivery_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    started_at INTEGER,
    duration_us INTEGER NOT NULL,
    state TEXT NOT NULL,
    status INTEGER,
    reason TEXT NOT NULL,
    PRIMARY KEY (delivery_id, number)
) STRICT, WITHOUT ROWID;
