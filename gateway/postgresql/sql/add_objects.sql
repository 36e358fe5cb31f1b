-- Objects in the object store that are a payload each: rows of [name, length].
WITH row AS (
    SELECT value ->> 0 AS name, (value ->> 1)::bigint AS length_bytes FROM jsonb_array_elements(%(objects)s::jsonb)
), added AS (
    INSERT INTO segment_object (object_name, length_bytes, added_at) SELECT name, length_bytes, %(now)s FROM row
)
INSERT INTO sealed_group (payload_name, object_name, offset_bytes) SELECT name, name, 0 FROM row;
