-- Destinations with pending deliveries, hopping from one to the next in the index.
WITH RECURSIVE hop (destination) AS (
    (SELECT destination FROM due ORDER BY destination LIMIT 1)
    UNION ALL
    SELECT (SELECT due.destination FROM due WHERE due.destination > hop.destination ORDER BY due.destination LIMIT 1)
    FROM hop WHERE hop.destination IS NOT NULL
)
SELECT destination FROM hop WHERE destination IS NOT NULL;
