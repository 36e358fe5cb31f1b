-- What comes begins a new generation.
UPDATE collection
SET state = 'closed', deadline_at = %(forget_at)s, instances = (
    SELECT count(*) FROM collection_instance WHERE collection_instance.collection_id = collection.collection_id
)
WHERE collection_id = %(collection_id)s AND state <> 'closed';
