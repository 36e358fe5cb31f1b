-- A collection that is over.
DELETE FROM collection WHERE collection_id = %(collection_id)s;
