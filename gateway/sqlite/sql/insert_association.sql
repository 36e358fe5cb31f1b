-- Keep the facts of an association once for all its instances.
INSERT INTO association (facts) VALUES (:facts) RETURNING association_id;
