-- Where deliveries wait that were chosen of groups, hopping from one place to the next: rows of [group, destination, whether any
-- may go to another member, number of those that the destination may have].
WITH RECURSIVE hop (delivery_id) AS (
    SELECT (SELECT delivery_id FROM delivery INDEXED BY delivery_by_group
            WHERE state = 'pending' AND group_name <> '' ORDER BY group_name, destination LIMIT 1)
    UNION ALL
    SELECT (SELECT next.delivery_id FROM delivery AS next INDEXED BY delivery_by_group
            WHERE next.state = 'pending' AND next.group_name <> ''
                AND (next.group_name, next.destination) > (here.group_name, here.destination)
            ORDER BY next.group_name, next.destination LIMIT 1)
    FROM hop CROSS JOIN delivery AS here ON here.delivery_id = hop.delivery_id
)
SELECT here.group_name, here.destination,
    EXISTS (SELECT 1 FROM delivery INDEXED BY delivery_by_group
            WHERE state = 'pending' AND group_name <> '' AND group_name = here.group_name
                AND destination = here.destination AND is_doubtful = 0),
    (SELECT count(*) FROM delivery INDEXED BY delivery_by_group
     WHERE state = 'pending' AND group_name <> '' AND group_name = here.group_name
         AND destination = here.destination AND is_doubtful = 1)
FROM hop CROSS JOIN delivery AS here ON here.delivery_id = hop.delivery_id;
