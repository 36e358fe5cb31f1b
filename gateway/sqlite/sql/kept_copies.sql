-- How many instances are kept, of which size together, counted up to a limit; and the first and last end of their times.
SELECT count(*), coalesce(sum(size_bytes), 0),
       (SELECT min(kept_until) FROM kept_copy WHERE kept_since IS NOT NULL),
       (SELECT max(kept_until) FROM kept_copy WHERE kept_since IS NOT NULL)
FROM (SELECT size_bytes FROM kept_copy WHERE kept_since IS NOT NULL ORDER BY kept_until LIMIT :limit);
