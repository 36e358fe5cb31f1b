-- Of instances that arrive again, those that were here are no longer the current ones.
WITH here AS (
    SELECT instance_id
    FROM jsonb_array_elements_text(%(sop_instance_uids)s::jsonb) AS arrived
    JOIN instance ON sop_instance_uid = arrived AND is_current = 1
    ORDER BY instance_id FOR NO KEY UPDATE OF instance
)
UPDATE instance SET is_current = 0
FROM here WHERE instance.instance_id = here.instance_id
RETURNING sop_instance_uid, series_key;
