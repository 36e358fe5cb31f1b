-- The groups of an hour behind a number, in order, and whether an instance names each that lies in no object yet.
SELECT group_id, octet_length(payloads), added_at,
    NOT EXISTS (SELECT 1 FROM sealed_group WHERE payload_name = 'journal/{hour}/' || group_id)
    AND EXISTS (SELECT 1 FROM instance WHERE payload_name = 'journal/{hour}/' || group_id)
FROM journal_{hour} WHERE group_id > %(after)s ORDER BY group_id LIMIT %(limit)s;
