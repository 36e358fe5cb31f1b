-- Whether an hour has groups that an instance names and that lie in no object yet.
SELECT EXISTS (
    SELECT 1 FROM journal_{hour}
    WHERE NOT EXISTS (SELECT 1 FROM sealed_group WHERE payload_name = 'journal/{hour}/' || group_id)
        AND EXISTS (SELECT 1 FROM instance WHERE payload_name = 'journal/{hour}/' || group_id)
);
