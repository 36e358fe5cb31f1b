-- Instances of these deliveries are kept until these times at least: rows of (delivery, time).
INSERT INTO kept_copy (instance_id, kept_until, size_bytes)
SELECT instance_id, max(keep.value ->> 1), payload_length
FROM json_each(:keeps) AS keep
CROSS JOIN delivery ON delivery.delivery_id = keep.value ->> 0
CROSS JOIN instance USING (instance_id)
GROUP BY instance_id
ON CONFLICT (instance_id) DO UPDATE SET kept_until = max(kept_until, excluded.kept_until);
