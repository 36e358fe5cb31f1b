-- Deliveries of a group that may go to another member, in order of arrival: rows of [delivery, Study Instance UID].
SELECT delivery.delivery_id, instance.study_instance_uid
FROM (
    SELECT delivery_id FROM due
    WHERE group_name <> '' AND group_name = %(group)s AND destination = %(source)s AND is_doubtful = 0
        AND leased_until IS NULL
    ORDER BY delivery_id
    LIMIT %(limit)s
) AS found
JOIN delivery ON delivery.delivery_id = found.delivery_id
JOIN instance ON instance.instance_id = delivery.instance_id
ORDER BY delivery.delivery_id;
