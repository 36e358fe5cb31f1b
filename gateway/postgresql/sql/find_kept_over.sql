-- Kept instances whose time is over. Nobody else changes them before this transaction ends; it waits for nobody.
SELECT coalesce(json_agg(instance_id), '[]') FROM (
    SELECT instance_id FROM kept_copy JOIN instance USING (instance_id)
    WHERE kept_since IS NOT NULL AND kept_until <= %(before)s
    ORDER BY kept_until LIMIT %(limit)s
    FOR NO KEY UPDATE OF instance SKIP LOCKED
) AS found;
