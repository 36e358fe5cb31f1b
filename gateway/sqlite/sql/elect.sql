-- Of all indexed instances of these SOP Instance UIDs the newest is the current one.
UPDATE instance SET is_current = instance_id = (
    SELECT max(other.instance_id) FROM instance AS other
    WHERE other.sop_instance_uid = instance.sop_instance_uid AND other.series_key IS NOT NULL
)
WHERE instance_id IN (
    SELECT wanted.instance_id FROM json_each(:sop_instance_uids) AS arrived
    CROSS JOIN instance AS wanted ON wanted.sop_instance_uid = arrived.value AND wanted.series_key IS NOT NULL
);
