-- The instances that a collection knows.
DELETE FROM collection_instance WHERE collection_id = %(collection_id)s;
