-- Let a pending delivery wait for an operator as it did before, where all else agrees: values as in `salvage_waiting`.
UPDATE delivery SET state = ?6
WHERE state = 'pending' AND destination = ?3 AND rule = ?4 AND actions_json = ?5 AND instance_id IN (
    SELECT instance_id FROM instance WHERE payload_name = ?1 AND payload_offset = ?2
);
