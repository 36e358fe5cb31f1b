-- Everything of schema version 1. Times are microseconds since 1970-01-01T00:00Z; identifiers are never used again. Texts
-- compare by their bytes. No text that a sender makes up is the key of a B-tree: a longer key than 2.7 kB is refused.
CREATE TABLE gateway_schema (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL
);
INSERT INTO gateway_schema (version) VALUES (0);

CREATE TABLE spool (spool_id text NOT NULL);

-- Up to where the spool's segments are known; what stands behind is told to the queue at the next start.
CREATE TABLE known (
    segment text NOT NULL,
    end_bytes bigint NOT NULL,
    touched bigint NOT NULL -- changes, so that there is something to write
) WITH (fillfactor = 20);
INSERT INTO known VALUES ('', 0, 0);

CREATE TABLE clock (
    one integer PRIMARY KEY CHECK (one = 1),
    queue_time bigint NOT NULL,
    wall_time bigint NOT NULL
) WITH (fillfactor = 20);

CREATE TABLE association (
    association_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    facts text COLLATE "C" NOT NULL
);

-- JSON of an index entry without NUL, which no text of this database can hold.
CREATE FUNCTION without_nul(text) RETURNS jsonb LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
$$ SELECT regexp_replace($1, '(?<!\\)((\\\\)*)\\u0000', '\1\\ufffd', 'g')::jsonb $$;

CREATE SEQUENCE instance_ids;
CREATE TABLE instance (
    instance_id bigint PRIMARY KEY,
    sop_class_uid text COLLATE "C" NOT NULL,
    sop_instance_uid text COLLATE "C" NOT NULL,
    transfer_syntax_uid text COLLATE "C" NOT NULL,
    study_instance_uid text COLLATE "C" NOT NULL,
    series_instance_uid text COLLATE "C" NOT NULL,
    association_id bigint NOT NULL,
    payload_name text COLLATE "C" NOT NULL,
    payload_offset bigint NOT NULL,
    payload_length bigint NOT NULL,
    payload_digest bytea NOT NULL,
    received_at bigint NOT NULL,
    settled_at bigint, -- when its last delivery was delivered or discarded; NULL while it owes something
    series_key bigint, -- NULL: not in the index
    attributes jsonb, -- of the image level
    is_current smallint NOT NULL, -- 1: the newest indexed one of its SOP Instance UID
    kept_facts text COLLATE "C" NOT NULL
);
CREATE INDEX instance_by_sop_instance_uid ON instance USING hash (sop_instance_uid);
CREATE INDEX instance_by_study_instance_uid ON instance USING hash (study_instance_uid);
CREATE INDEX instance_by_payload ON instance (payload_name, payload_offset);
CREATE INDEX instance_by_association ON instance (association_id);
CREATE INDEX instance_by_series ON instance (series_key, is_current) WHERE series_key IS NOT NULL;
CREATE INDEX instance_by_settled_at ON instance (settled_at, instance_id)
WHERE settled_at IS NOT NULL AND series_key IS NULL;
CREATE INDEX instance_indexed_by_settled_at ON instance (settled_at, instance_id)
WHERE settled_at IS NOT NULL AND series_key IS NOT NULL;

CREATE SEQUENCE delivery_ids;
CREATE TABLE delivery (
    delivery_id bigint PRIMARY KEY,
    instance_id bigint NOT NULL,
    destination text COLLATE "C" NOT NULL,
    rule text COLLATE "C" NOT NULL,
    actions_json text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('pending', 'delivered', 'dead', 'held')),
    likeness bigint NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,
    renewed_at bigint, -- when an operator last retried or released it
    due_at bigint NOT NULL, -- while it is pending, `due` has it
    lease bigint NOT NULL DEFAULT 0, -- fencing token; while it is pending, `due` has it
    reason text COLLATE "C" NOT NULL DEFAULT ''
);
CREATE INDEX delivery_owed ON delivery (destination, state) WHERE state <> 'delivered';
CREATE INDEX delivery_by_instance ON delivery (instance_id);

-- A row for each pending delivery, and all that claims change: short, and gone when the delivery is settled.
CREATE TABLE due (
    delivery_id bigint PRIMARY KEY,
    destination text COLLATE "C" NOT NULL,
    likeness bigint NOT NULL,
    due_at bigint NOT NULL, -- under a lease: when the lease ends
    entered_at bigint NOT NULL, -- when it was created, or renewed by an operator
    ready_at bigint, -- under a lease: when it was due before
    leased_until bigint, -- NULL: under no lease
    lease bigint NOT NULL -- grows with every claim
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX due_by_time ON due (destination, due_at, delivery_id);
CREATE INDEX due_by_likeness ON due (destination, likeness, delivery_id);

CREATE TABLE attempt (
    delivery_id bigint NOT NULL,
    number integer NOT NULL,
    started_at bigint,
    duration_us bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    status integer,
    reason text COLLATE "C" NOT NULL,
    PRIMARY KEY (delivery_id, number)
);

-- The index. Levels keep their attributes as JSON: hexadecimal tag → text or texts, `tag=` → the folded groups of each
-- name, `tag@` → times in UTC. `identity` is the SHA-256 of all that tells two of a level apart.
CREATE TABLE patient (
    patient_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    attributes jsonb NOT NULL,
    identity bytea NOT NULL UNIQUE,
    patient_id text COLLATE "C" NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '00100020', '')) STORED,
    issuer_of_patient_id text COLLATE "C" NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '00100021', '')) STORED,
    alphabetic_name text COLLATE "C" NOT NULL
        GENERATED ALWAYS AS (coalesce(attributes #>> '{00100010=,0,0}', '')) STORED,
    ideographic_name text COLLATE "C" NOT NULL
        GENERATED ALWAYS AS (coalesce(attributes #>> '{00100010=,0,1}', '')) STORED,
    phonetic_name text COLLATE "C" NOT NULL
        GENERATED ALWAYS AS (coalesce(attributes #>> '{00100010=,0,2}', '')) STORED
);
CREATE INDEX patient_by_patient_id ON patient (left(patient_id, 200));
CREATE INDEX patient_by_alphabetic_name ON patient (left(alphabetic_name, 200));
CREATE INDEX patient_by_ideographic_name ON patient (left(ideographic_name, 200)) WHERE ideographic_name <> '';
CREATE INDEX patient_by_phonetic_name ON patient (left(phonetic_name, 200)) WHERE phonetic_name <> '';

CREATE TABLE study (
    study_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    patient_key bigint NOT NULL,
    attributes jsonb NOT NULL,
    identity bytea NOT NULL,
    study_instance_uid text COLLATE "C" NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '0020000D', '')) STORED,
    study_date text COLLATE "C" NOT NULL GENERATED ALWAYS AS ( -- empty when it is no date
        CASE WHEN replace(attributes ->> '00080020', '.', '') ~ '^[0-9]{8}$'
        THEN replace(attributes ->> '00080020', '.', '') ELSE '' END
    ) STORED,
    accession_number text COLLATE "C" NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '00080050', '')) STORED,
    UNIQUE (patient_key, identity)
);
CREATE INDEX study_by_study_instance_uid ON study USING hash (study_instance_uid);
CREATE INDEX study_by_study_date ON study (study_date);
CREATE INDEX study_by_accession_number ON study (left(accession_number, 200)) WHERE accession_number <> '';

CREATE TABLE series (
    series_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    study_key bigint NOT NULL,
    attributes jsonb NOT NULL,
    identity bytea NOT NULL,
    series_instance_uid text COLLATE "C" NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '0020000E', '')) STORED,
    modality text COLLATE "C" NOT NULL GENERATED ALWAYS AS (coalesce(attributes ->> '00080060', '')) STORED,
    UNIQUE (study_key, identity)
);
CREATE INDEX series_by_series_instance_uid ON series USING hash (series_instance_uid);
