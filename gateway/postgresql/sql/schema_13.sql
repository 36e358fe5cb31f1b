-- Everything that schema version 13 adds: which delivery of a destination goes first (`gateway.model.priority`), and whether a
-- closed window lets it pass while it is urgent. `due` has both as well. `due_by_time` stays: to drop it would wait for every reader
-- that has a transaction open, and a version before claims by it.
ALTER TABLE delivery ADD COLUMN priority smallint NOT NULL DEFAULT 1;
ALTER TABLE delivery ADD COLUMN passes_window smallint NOT NULL DEFAULT 0;
ALTER TABLE due ADD COLUMN priority smallint NOT NULL DEFAULT 1;
ALTER TABLE due ADD COLUMN passes_window smallint NOT NULL DEFAULT 0;
CREATE INDEX due_by_priority ON due (destination, priority, due_at, delivery_id);
CREATE INDEX due_passing ON due (destination, due_at, delivery_id) WHERE priority = 0 AND passes_window = 1;
