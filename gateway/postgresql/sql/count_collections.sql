-- Collections by definition and state: rows of (name, state, number, instances, first opening).
SELECT name, state, count(*), sum((
    SELECT count(*) FROM collection_instance WHERE collection_instance.collection_id = collection.collection_id
))::bigint, min(opened_at)
FROM collection WHERE state <> 'closed' GROUP BY name, state ORDER BY name, state;
