-- Of all indexed instances of these SOP Instance UIDs the newest is the current one.
UPDATE instance SET is_current = (instance.instance_id = (
    SELECT max(other.instance_id) FROM instance AS other
    WHERE other.sop_instance_uid = instance.sop_instance_uid AND other.series_key IS NOT NULL
))::integer
FROM jsonb_array_elements_text(%(sop_instance_uids)s::jsonb) AS arrived
WHERE instance.sop_instance_uid = arrived AND instance.series_key IS NOT NULL;
