-- Those of these instances that are to be kept and owe nothing any more are kept from now on.
UPDATE kept_copy SET kept_since = :now
WHERE instance_id IN (SELECT value FROM json_each(:ids)) AND kept_since IS NULL AND kept_until > :now
    AND NOT EXISTS (
        SELECT 1 FROM delivery WHERE delivery.instance_id = kept_copy.instance_id AND state <> 'delivered'
    );
