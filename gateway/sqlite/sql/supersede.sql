-- Of instances that arrive again, those that were here are no longer the current ones.
UPDATE instance SET is_current = 0
WHERE instance_id IN (
    SELECT earlier.instance_id FROM json_each(:sop_instance_uids) AS arrived
    CROSS JOIN instance AS earlier ON earlier.sop_instance_uid = arrived.value
) AND is_current = 1
RETURNING sop_instance_uid, series_key;
