-- Everything that schema version 6 adds: what the journal holds and no object does yet, as the node that seals counted it
-- last. One row, which that node alone changes.
CREATE TABLE unsealed (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    groups bigint NOT NULL,
    length_bytes bigint NOT NULL,
    oldest_at bigint, -- when the oldest group was added
    problem text COLLATE "C" NOT NULL, -- why they are not sealed; empty while all goes well
    counted_at bigint NOT NULL
) WITH (fillfactor = 50);

-- The oldest schema version whose code works with these tables: two versions of the gateway run side by side while nodes are
-- updated one after the other. A later version that takes something from an earlier one sets it to its own.
ALTER TABLE gateway_schema ADD COLUMN oldest integer NOT NULL DEFAULT 6;
