-- Version 7: which deliveries a destination is likely to refuse together (`gateway.model.likeness`), so that what it takes is
-- found behind any number of those. `likeness <> 0` keeps all other statements off this index.
ALTER TABLE delivery ADD COLUMN likeness INTEGER NOT NULL DEFAULT 0;
CREATE INDEX delivery_by_likeness ON delivery (destination, likeness) WHERE state = 'pending' AND likeness <> 0;
