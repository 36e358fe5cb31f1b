-- Those of these places, each [segment or file, offset], that instances name.
SELECT coalesce(json_agg(json_build_array(place ->> 0, (place ->> 1)::bigint)), '[]')
FROM jsonb_array_elements(%(places)s::jsonb) AS place
WHERE EXISTS (
    SELECT 1 FROM instance WHERE payload_name = place ->> 0 AND payload_offset = (place ->> 1)::bigint
);
