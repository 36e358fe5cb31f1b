-- When something is to be decided about a collection.
SELECT deadline_at FROM collection WHERE deadline_at IS NOT NULL ORDER BY deadline_at LIMIT 1;
