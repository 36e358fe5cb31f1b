-- Deliveries of a group that may go to another member, in order of arrival: rows of [delivery, Study Instance UID].
SELECT delivery.delivery_id, instance.study_instance_uid
FROM delivery INDEXED BY delivery_by_group
CROSS JOIN instance ON instance.instance_id = delivery.instance_id
WHERE delivery.state = 'pending' AND delivery.group_name <> '' AND delivery.group_name = :group
    AND delivery.destination = :source AND delivery.is_doubtful = 0 AND delivery.leased_until IS NULL
ORDER BY delivery.delivery_id
LIMIT :limit;
