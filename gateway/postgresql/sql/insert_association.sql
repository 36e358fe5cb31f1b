-- Keep the facts of an association once for all its instances.
INSERT INTO association (facts) VALUES (%(facts)s) RETURNING association_id;
