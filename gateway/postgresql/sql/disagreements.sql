-- Rows that name rows that are not there, and counts that are not those of the rows: what, and how many.
SELECT 'deliveries without their instance', count(*) FROM delivery
WHERE NOT EXISTS (SELECT 1 FROM instance WHERE instance.instance_id = delivery.instance_id)
UNION ALL
SELECT 'pending deliveries that are never due', count(*) FROM delivery
WHERE state = 'pending' AND NOT EXISTS (SELECT 1 FROM due WHERE due.delivery_id = delivery.delivery_id)
    AND NOT EXISTS (SELECT 1 FROM waiting_delivery WHERE waiting_delivery.delivery_id = delivery.delivery_id)
UNION ALL
SELECT 'deliveries that wait for a collection that is not there', count(*) FROM waiting_delivery
WHERE NOT EXISTS (SELECT 1 FROM collection WHERE collection.collection_id = waiting_delivery.collection_id)
UNION ALL
SELECT 'due times of no pending delivery', count(*) FROM due
WHERE NOT EXISTS (
    SELECT 1 FROM delivery WHERE delivery.delivery_id = due.delivery_id AND delivery.state = 'pending'
)
UNION ALL
SELECT 'instances without their association', count(*) FROM instance
WHERE NOT EXISTS (SELECT 1 FROM association WHERE association.association_id = instance.association_id)
UNION ALL
SELECT 'instances of the local index without their series', count(*) FROM instance
WHERE series_key IS NOT NULL AND NOT EXISTS (SELECT 1 FROM series WHERE series.series_key = instance.series_key)
UNION ALL
SELECT 'series of the local index without their study', count(*) FROM series
WHERE NOT EXISTS (SELECT 1 FROM study WHERE study.study_key = series.study_key)
UNION ALL
SELECT 'studies of the local index without their patient', count(*) FROM study
WHERE NOT EXISTS (SELECT 1 FROM patient WHERE patient.patient_key = study.patient_key)
UNION ALL
SELECT 'groups in objects without a row', count(*) FROM sealed_group
WHERE NOT EXISTS (SELECT 1 FROM segment_object WHERE segment_object.object_name = sealed_group.object_name)
UNION ALL
SELECT 'SOP Instance UIDs with several current instances in the local index', count(*) FROM (
    SELECT 1 FROM instance WHERE is_current = 1 GROUP BY sop_instance_uid HAVING count(*) > 1
) AS several
UNION ALL
SELECT 'counts of what is kept for a destination in a state that are wrong', count(*) FROM (
    SELECT 1 FROM (
        SELECT destination, state, number FROM queue_change
        UNION ALL
        SELECT destination, state, -count(*) FROM delivery WHERE state <> 'delivered' GROUP BY destination, state
    ) AS counted
    GROUP BY destination, state HAVING sum(number) <> 0
) AS wrong;
