-- Version 15: the member of a balance group that a study is with (`gateway.ports.affinities`).
CREATE TABLE group_affinity (
    affinity_id INTEGER PRIMARY KEY AUTOINCREMENT,
    group_name TEXT NOT NULL,
    study_digest TEXT NOT NULL, -- of the Study Instance UID
    member TEXT NOT NULL, -- a destination
    forget_at INTEGER NOT NULL -- in the queue's time
) STRICT;
CREATE UNIQUE INDEX group_affinity_by_study ON group_affinity (group_name, study_digest);
CREATE INDEX group_affinity_by_time ON group_affinity (forget_at);
