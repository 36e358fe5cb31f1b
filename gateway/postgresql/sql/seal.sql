-- Groups lie in an object now: rows of [payload name, offset].
WITH added AS (
    INSERT INTO segment_object (object_name, length_bytes, added_at) VALUES (%(object)s, %(length)s, %(now)s)
)
INSERT INTO sealed_group (payload_name, object_name, offset_bytes)
SELECT value ->> 0, %(object)s, (value ->> 1)::bigint FROM jsonb_array_elements(%(groups)s::jsonb);
