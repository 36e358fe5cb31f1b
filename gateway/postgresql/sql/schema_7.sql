-- Everything that schema version 7 adds: the standing of each destination, which the node that works on it writes.
CREATE TABLE circuit (
    destination text COLLATE "C" PRIMARY KEY,
    is_up boolean NOT NULL,
    reason text COLLATE "C" NOT NULL, -- fit for logs
    failures integer NOT NULL, -- tries in vain in a row
    try_at bigint NOT NULL, -- by the server's clock
    refusals text COLLATE "C" NOT NULL -- see gateway/delivery/refusals.py
) WITH (fillfactor = 50);
