-- Kept instances, those first that are kept for the longest time: rows of (instance, bytes). Nobody else changes them before this transaction ends.
SELECT coalesce(json_agg(json_build_array(instance_id, size_bytes)), '[]') FROM (
    SELECT instance_id, size_bytes FROM kept_copy JOIN instance USING (instance_id)
    WHERE kept_since IS NOT NULL
    ORDER BY kept_since LIMIT %(limit)s
    FOR NO KEY UPDATE OF instance SKIP LOCKED
) AS found;
