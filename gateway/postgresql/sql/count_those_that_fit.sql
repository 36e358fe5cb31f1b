-- The number of collections that fit; closed ones where they are asked for.
SELECT count(*)
FROM collection
WHERE (%(every_id)s OR collection.collection_id IN (SELECT wanted::bigint FROM jsonb_array_elements_text(%(ids)s::jsonb) AS wanted))
    AND (%(definition)s = '' OR name = %(definition)s) AND (%(state)s = '' OR state = %(state)s)
    AND (%(study_instance_uid)s = '' OR study_instance_uid = %(study_instance_uid)s)
    AND (state <> 'closed' OR %(state)s = 'closed');
