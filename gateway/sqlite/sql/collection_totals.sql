-- What tests hold for the instances of a collection: rows of (matches, number).
SELECT matches, count(*) FROM collection_instance WHERE collection_id = :collection_id GROUP BY matches;
