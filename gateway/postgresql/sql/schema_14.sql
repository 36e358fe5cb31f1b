-- Everything that schema version 14 adds: the rows of deliveries as they were before an operator changed them
-- (`gateway.ports.undo_log`).
CREATE TABLE operation_change (
    operation_id bigint NOT NULL,
    delivery_id bigint NOT NULL,
    row_before text COLLATE "C" NOT NULL, -- JSON; empty: there was none
    mark_after text COLLATE "C" NOT NULL, -- of the row; empty: there is none any more
    PRIMARY KEY (operation_id, delivery_id)
);
