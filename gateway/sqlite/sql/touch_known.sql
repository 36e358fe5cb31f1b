-- Change something, so that a durable transaction syncs.
UPDATE known SET touched = touched + 1;
