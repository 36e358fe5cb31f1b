-- Of instances that arrive again, those that were here are no longer the current ones.
UPDATE instance SET is_current = 0
FROM jsonb_array_elements_text(%(sop_instance_uids)s::jsonb) AS arrived
WHERE sop_instance_uid = arrived AND is_current = 1
RETURNING sop_instance_uid, series_key;
