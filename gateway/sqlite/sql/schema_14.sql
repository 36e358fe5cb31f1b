-- Version 14: the rows of deliveries as they were before an operator changed them (`gateway.ports.undo_log`).
CREATE TABLE operation_change (
    operation_id INTEGER NOT NULL,
    delivery_id INTEGER NOT NULL,
    row_before TEXT NOT NULL, -- JSON; empty: there was none
    mark_after TEXT NOT NULL, -- of the row; empty: there is none any more
    PRIMARY KEY (operation_id, delivery_id)
) STRICT, WITHOUT ROWID;
