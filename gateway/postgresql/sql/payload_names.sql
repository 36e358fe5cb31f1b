-- Each payload file with the end of its last payload, hopping from one name to the next in the index.
WITH RECURSIVE hop (name) AS (
    (SELECT payload_name FROM instance ORDER BY payload_name LIMIT 1)
    UNION ALL
    SELECT (SELECT payload_name FROM instance WHERE payload_name > hop.name ORDER BY payload_name LIMIT 1)
    FROM hop WHERE hop.name IS NOT NULL
)
SELECT coalesce(json_agg(json_build_array(name, (
    SELECT payload_offset + payload_length FROM instance
    WHERE payload_name = hop.name ORDER BY payload_offset DESC LIMIT 1
))), '[]')
FROM hop WHERE name IS NOT NULL;
