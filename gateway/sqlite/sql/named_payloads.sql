-- Those of these places, each [segment or file, offset], that instances name.
SELECT json_group_array(json_array(place.value ->> 0, place.value ->> 1))
FROM json_each(:places) AS place
WHERE EXISTS (
    SELECT 1 FROM instance WHERE payload_name = place.value ->> 0 AND payload_offset = place.value ->> 1
);
