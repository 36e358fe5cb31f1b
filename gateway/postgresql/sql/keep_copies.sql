-- Instances of these deliveries are kept until these times at least: rows of (delivery, time).
INSERT INTO kept_copy (instance_id, kept_until, size_bytes)
SELECT instance_id, max((keep ->> 1)::bigint), min(payload_length)
FROM jsonb_array_elements(%(keeps)s::jsonb) AS keep
JOIN delivery ON delivery.delivery_id = (keep ->> 0)::bigint
JOIN instance USING (instance_id)
GROUP BY instance_id
ORDER BY instance_id
ON CONFLICT (instance_id) DO UPDATE SET kept_until = greatest(kept_copy.kept_until, excluded.kept_until);
