-- The last instance and delivery identifiers given out, and when the newest delivery was created.
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'instance'), 0),
       coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'delivery'), 0),
       coalesce((SELECT created_at FROM delivery ORDER BY delivery_id DESC LIMIT 1), 0);
