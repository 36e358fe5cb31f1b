-- Where deliveries wait that were chosen of groups, hopping from one place to the next: rows of [group, destination, whether any
-- may go to another member, number of those that the destination may have].
WITH RECURSIVE hop (group_name, destination) AS (
    (SELECT group_name, destination FROM due WHERE group_name <> '' ORDER BY group_name, destination LIMIT 1)
    UNION ALL
    SELECT next.group_name, next.destination
    FROM hop CROSS JOIN LATERAL (
        SELECT group_name, destination FROM due
        WHERE group_name <> '' AND (due.group_name, due.destination) > (hop.group_name, hop.destination)
        ORDER BY group_name, destination LIMIT 1
    ) AS next
)
SELECT group_name, destination,
    EXISTS (SELECT 1 FROM due WHERE due.group_name <> '' AND due.group_name = hop.group_name
                AND due.destination = hop.destination AND due.is_doubtful = 0),
    (SELECT count(*) FROM due WHERE due.group_name <> '' AND due.group_name = hop.group_name
         AND due.destination = hop.destination AND due.is_doubtful = 1)
FROM hop;
