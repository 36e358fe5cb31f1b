-- Instances that are about to go: where an earlier one of the same SOP Instance UID stays, it is the current one again.
UPDATE instance SET is_current = 1
WHERE instance_id IN (
    SELECT max(other.instance_id)
    FROM jsonb_array_elements_text(%(ids)s::jsonb) AS gone
    JOIN instance AS current ON current.instance_id = gone::bigint AND current.is_current = 1
    JOIN instance AS other ON other.sop_instance_uid = current.sop_instance_uid AND other.series_key IS NOT NULL
        AND other.instance_id NOT IN (SELECT each::bigint FROM jsonb_array_elements_text(%(ids)s::jsonb) AS each)
    GROUP BY other.sop_instance_uid
);
