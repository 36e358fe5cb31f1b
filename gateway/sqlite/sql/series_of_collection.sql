-- The number of series that the instances of a collection are of.
SELECT count(DISTINCT series_instance_uid)
FROM collection_instance JOIN instance ON instance.instance_id = collection_instance.instance_id
WHERE collection_instance.collection_id = :collection_id;
