-- Version 18: collections (`gateway.model.collection`): studies and series as wholes. Times are in the queue's time. A delivery
-- that waits for one is due never (253402300799000000), has a likeness below 0, and stands in `waiting_delivery`: nothing that
-- looks for what is due reads it.
CREATE TABLE collection (
    collection_id INTEGER PRIMARY KEY AUTOINCREMENT,
    collected_key TEXT NOT NULL, -- a digest of definition, level and UIDs
    patient TEXT NOT NULL, -- a digest
    generation INTEGER NOT NULL,
    name TEXT NOT NULL,
    study_instance_uid TEXT NOT NULL,
    series_instance_uid TEXT NOT NULL,
    terms TEXT NOT NULL, -- JSON
    state TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    last_arrival_at INTEGER NOT NULL,
    at_most_at INTEGER NOT NULL,
    not_before_at INTEGER NOT NULL,
    deadline_at INTEGER, -- of the next decision, the closing, or the time at which it is forgotten
    completed_at INTEGER,
    result TEXT NOT NULL DEFAULT '',
    outcome TEXT NOT NULL DEFAULT '',
    flag TEXT NOT NULL DEFAULT '',
    institution TEXT NOT NULL DEFAULT '', -- a digest of the name that came first
    instances INTEGER NOT NULL DEFAULT 0, -- once it is closed; before, `collection_instance` has them
    late INTEGER NOT NULL DEFAULT 0,
    repeated INTEGER NOT NULL DEFAULT 0,
    replaced INTEGER NOT NULL DEFAULT 0,
    ignored INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX collection_by_study ON collection (collected_key, patient, generation);
CREATE INDEX collection_by_study_instance_uid ON collection (study_instance_uid);
CREATE INDEX collection_by_deadline ON collection (deadline_at) WHERE deadline_at IS NOT NULL;

CREATE TABLE collection_instance (
    collection_id INTEGER NOT NULL,
    uid_key TEXT NOT NULL, -- a digest of the SOP Instance UID
    digest TEXT NOT NULL, -- of the newest bytes
    instance_id INTEGER NOT NULL,
    matches TEXT NOT NULL,
    arrived_at INTEGER NOT NULL,
    PRIMARY KEY (collection_id, uid_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE waiting_delivery (
    collection_id INTEGER NOT NULL,
    delivery_id INTEGER NOT NULL,
    PRIMARY KEY (collection_id, delivery_id)
) STRICT, WITHOUT ROWID;

ALTER TABLE delivery ADD COLUMN collection_id INTEGER;
