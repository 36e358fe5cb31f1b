-- Everything that schema version 5 adds: instances that a C-MOVE of one node to the gateway is to bring, wherever they arrive.
CREATE TABLE expected_move (
    move_id text COLLATE "C" PRIMARY KEY,
    instance text COLLATE "C" NOT NULL, -- of the node that asked, and waits
    peer text COLLATE "C" NOT NULL, -- the source
    hosts jsonb NOT NULL, -- that it may send from
    our_ae_title text COLLATE "C" NOT NULL, -- Calling AE title of the C-MOVE
    message_id integer NOT NULL,
    made_at bigint NOT NULL -- by the server's clock
);
CREATE TABLE expected_instance (
    move_id text COLLATE "C" NOT NULL REFERENCES expected_move ON DELETE CASCADE,
    sop_instance_uid text COLLATE "C" NOT NULL
);
CREATE INDEX expected_instance_by_move ON expected_instance (move_id);

-- A row for each node that receives: the C-MOVEs of others that it knows of.
CREATE TABLE expecting_node (
    instance text COLLATE "C" PRIMARY KEY,
    moves jsonb NOT NULL,
    joined_at bigint NOT NULL -- by the server's clock; then its last look
) WITH (fillfactor = 50);

-- An instance on its way from the node at which it arrived to the one that waits. Nobody was promised anything: what is lost with
-- the server is asked for again, so that none of it goes into the write-ahead log, nor to a standby.
CREATE UNLOGGED TABLE handed_instance (
    handover_id text COLLATE "C" PRIMARY KEY,
    move_id text COLLATE "C" NOT NULL REFERENCES expected_move ON DELETE CASCADE,
    giver text COLLATE "C" NOT NULL, -- instance of a node
    receiver text COLLATE "C" NOT NULL,
    sop_class_uid text COLLATE "C" NOT NULL,
    sop_instance_uid text COLLATE "C" NOT NULL,
    transfer_syntax_uid text COLLATE "C" NOT NULL,
    length_bytes bigint NOT NULL,
    object_name text COLLATE "C" NOT NULL, -- in the object store; empty: `payload` has the bytes
    payload bytea NOT NULL,
    status integer, -- of the C-STORE response; NULL until the receiver answers
    comment text COLLATE "C" NOT NULL DEFAULT ''
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE handed_instance ALTER payload SET STORAGE EXTERNAL;
CREATE INDEX handed_instance_by_move ON handed_instance (move_id);
CREATE INDEX handed_instance_by_receiver ON handed_instance (receiver) WHERE status IS NULL;
CREATE INDEX handed_instance_by_giver ON handed_instance (giver) WHERE status IS NOT NULL;
