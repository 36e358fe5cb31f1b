-- What is known of the whole of a collection, as JSON.
UPDATE collection SET expectation = :expectation WHERE collection_id = :collection_id;
