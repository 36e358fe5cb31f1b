-- The oldest groups of an hour that an instance names and that lie in no object yet.
SELECT group_id, octet_length(payloads), added_at FROM journal_{hour}
WHERE NOT EXISTS (SELECT 1 FROM sealed_group WHERE payload_name = 'journal/{hour}/' || group_id)
    AND EXISTS (SELECT 1 FROM instance WHERE payload_name = 'journal/{hour}/' || group_id)
ORDER BY group_id LIMIT %(limit)s;
