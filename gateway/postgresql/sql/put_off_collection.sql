-- Nothing is to be decided about a collection before a time.
UPDATE collection SET deadline_at = %(until)s WHERE collection_id = %(collection_id)s;
