-- Everything that schema version 18 adds: collections (`gateway.model.collection`): studies and series as wholes. Times are in the
-- queue's time. A delivery that waits for one stands in `waiting_delivery` instead of in `due`: claims do not see it, nor do
-- gateways of former versions.
CREATE TABLE collection (
    collection_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collected_key text COLLATE "C" NOT NULL, -- a digest of definition, level and UIDs
    patient text COLLATE "C" NOT NULL, -- a digest
    generation bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    study_instance_uid text COLLATE "C" NOT NULL,
    series_instance_uid text COLLATE "C" NOT NULL,
    terms text COLLATE "C" NOT NULL, -- JSON
    state text COLLATE "C" NOT NULL,
    opened_at bigint NOT NULL,
    last_arrival_at bigint NOT NULL,
    at_most_at bigint NOT NULL,
    not_before_at bigint NOT NULL,
    deadline_at bigint, -- of the next decision, the closing, or the time at which it is forgotten
    completed_at bigint,
    result text COLLATE "C" NOT NULL DEFAULT '',
    outcome text COLLATE "C" NOT NULL DEFAULT '',
    flag text COLLATE "C" NOT NULL DEFAULT '',
    institution text COLLATE "C" NOT NULL DEFAULT '', -- a digest of the name that came first
    instances bigint NOT NULL DEFAULT 0, -- once it is closed; before, `collection_instance` has them
    late bigint NOT NULL DEFAULT 0,
    repeated bigint NOT NULL DEFAULT 0,
    replaced bigint NOT NULL DEFAULT 0,
    ignored bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE UNIQUE INDEX collection_by_study ON collection (collected_key, patient, generation);
CREATE INDEX collection_by_study_instance_uid ON collection USING hash (study_instance_uid);
CREATE INDEX collection_by_deadline ON collection (deadline_at) WHERE deadline_at IS NOT NULL;

CREATE TABLE collection_instance (
    collection_id bigint NOT NULL,
    uid_key text COLLATE "C" NOT NULL, -- a digest of the SOP Instance UID
    digest text COLLATE "C" NOT NULL, -- of the newest bytes
    instance_id bigint NOT NULL,
    matches text COLLATE "C" NOT NULL,
    arrived_at bigint NOT NULL,
    PRIMARY KEY (collection_id, uid_key)
);

CREATE TABLE waiting_delivery (
    collection_id bigint NOT NULL,
    delivery_id bigint NOT NULL,
    PRIMARY KEY (collection_id, delivery_id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

ALTER TABLE delivery ADD COLUMN collection_id bigint NULL;
