-- Destinations with pending deliveries, hopping from one to the next in the index.
WITH RECURSIVE hop (destination) AS (
    SELECT (SELECT destination FROM delivery WHERE state <> 'delivered' ORDER BY destination LIMIT 1)
    UNION ALL
    SELECT (SELECT delivery.destination FROM delivery
            WHERE delivery.destination > hop.destination AND state <> 'delivered'
            ORDER BY delivery.destination LIMIT 1)
    FROM hop WHERE hop.destination IS NOT NULL
)
SELECT hop.destination FROM hop
WHERE hop.destination IS NOT NULL AND EXISTS (
    SELECT 1 FROM delivery
    WHERE delivery.destination = hop.destination AND state = 'pending' AND state <> 'delivered'
);
