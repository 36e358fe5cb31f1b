-- Deliveries of these instances were given up by an operator: the same bytes are taken anew. `given_up`: [collection, instance].
UPDATE collection_instance SET digest = '-' || digest
WHERE (collection_id, instance_id) IN (
        SELECT (given_up ->> 0)::bigint, (given_up ->> 1)::bigint FROM jsonb_array_elements(%(given_up)s::jsonb) AS given_up
    )
    AND left(digest, 1) <> '-';
