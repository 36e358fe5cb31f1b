-- Delete entries to which nothing came for a long time.
DELETE FROM trace_entry WHERE entry_id IN (SELECT entry_id FROM trace_entry WHERE changed_at < %(before)s ORDER BY changed_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED);
