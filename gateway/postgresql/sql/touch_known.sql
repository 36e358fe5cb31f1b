-- Change something, so that there is something to write.
UPDATE known SET touched = touched + 1;
