-- Everything that schema version 3 adds: payloads of several nodes. Each hour has a table of its own, `journal_HOUR`, made
-- like `journal`, which stays empty: to drop a table costs nothing, and locks nobody who writes into the next one.
CREATE SEQUENCE journal_groups;
CREATE TABLE journal (
    group_id bigint PRIMARY KEY DEFAULT nextval('journal_groups'),
    added_at bigint NOT NULL,
    payloads bytea NOT NULL
);
ALTER TABLE journal ALTER payloads SET STORAGE EXTERNAL; -- nothing is compressed, and a part is read without the rest

-- Where a payload name leads in the object store.
CREATE TABLE sealed_group (
    payload_name text COLLATE "C" PRIMARY KEY,
    object_name text COLLATE "C" NOT NULL,
    offset_bytes bigint NOT NULL
);
CREATE INDEX sealed_group_by_object ON sealed_group (object_name);

CREATE TABLE segment_object (
    object_name text COLLATE "C" PRIMARY KEY,
    length_bytes bigint NOT NULL,
    added_at bigint NOT NULL
);
