-- Everything that schema version 9 adds: what operators did (`gateway.ports.operation_log`). Times are the wall clock's.
CREATE TABLE operation (
    operation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    verb text COLLATE "C" NOT NULL,
    operator text COLLATE "C" NOT NULL,
    why text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL, -- the destination that deliveries were sent to, where one was named
    filter text COLLATE "C" NOT NULL, -- JSON: the deliveries that were meant
    meant bigint NOT NULL, -- their number when it began
    done bigint NOT NULL,
    stayed bigint NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('running', 'complete', 'interrupted')),
    began_at bigint NOT NULL,
    changed_at bigint NOT NULL
) WITH (fillfactor = 50);
