-- Deliveries of these instances were given up by an operator: the same bytes are taken anew. `given_up`: [collection, instance].
UPDATE collection_instance SET digest = '-' || digest
WHERE collection_id IN (SELECT value ->> 0 FROM json_each(:given_up)) AND digest NOT LIKE '-%'
    AND (collection_id, instance_id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:given_up));
