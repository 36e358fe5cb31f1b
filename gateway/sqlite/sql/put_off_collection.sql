-- Nothing is to be decided about a collection before a time.
UPDATE collection SET deadline_at = :until WHERE collection_id = :collection_id;
