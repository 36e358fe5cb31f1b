-- Collections whose deadline has come, earliest first.
SELECT collection_id FROM collection
WHERE deadline_at IS NOT NULL AND deadline_at <= %(now)s
ORDER BY deadline_at LIMIT %(limit)s;
