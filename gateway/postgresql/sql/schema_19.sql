-- Everything that schema version 19 adds: what is known of studies whose instances were forgotten (`gateway.ports.trace_entries`).
CREATE TABLE trace_entry (
    entry_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    study_instance_uid text COLLATE "C" NOT NULL,
    role text COLLATE "C" NOT NULL, -- sender or destination
    name text COLLATE "C" NOT NULL,
    instances bigint NOT NULL,
    delivered bigint NOT NULL,
    size_bytes bigint NOT NULL,
    most_attempts bigint NOT NULL,
    first_received_at bigint NOT NULL,
    last_received_at bigint NOT NULL,
    last_delivered_at bigint,
    changed_at bigint NOT NULL -- by the server's clock
);
CREATE UNIQUE INDEX trace_entry_by_study ON trace_entry (study_instance_uid, role, name);
CREATE INDEX trace_entry_by_change ON trace_entry (changed_at);
