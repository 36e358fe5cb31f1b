-- Version 13: which delivery of a destination goes first (`gateway.model.priority`), and whether a closed window lets it pass
-- while it is urgent. What is owed stands by priority, so that each finds its own behind any number of the others.
ALTER TABLE delivery ADD COLUMN priority INTEGER NOT NULL DEFAULT 1;
ALTER TABLE delivery ADD COLUMN passes_window INTEGER NOT NULL DEFAULT 0;
DROP INDEX delivery_owed;
CREATE INDEX delivery_owed ON delivery (destination, state, priority, due_at) WHERE state <> 'delivered';
CREATE INDEX delivery_passing ON delivery (destination, due_at) WHERE state = 'pending' AND priority = 0 AND passes_window = 1;
