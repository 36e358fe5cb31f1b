-- What is known of the whole of a collection, as JSON.
UPDATE collection SET expectation = %(expectation)s WHERE collection_id = %(collection_id)s;
