-- Everything that schema version 15 adds: the member of a balance group that a study is with (`gateway.ports.affinities`).
CREATE TABLE group_affinity (
    affinity_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    group_name text COLLATE "C" NOT NULL,
    study_digest text COLLATE "C" NOT NULL, -- of the Study Instance UID
    member text COLLATE "C" NOT NULL, -- a destination
    forget_at bigint NOT NULL -- by the server's clock
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX group_affinity_by_study ON group_affinity (group_name, study_digest);
CREATE INDEX group_affinity_by_time ON group_affinity (forget_at);
