-- Mark the store as one that is migrated, or comes from another one.
INSERT INTO migration (one, migration_id, role, place, is_complete) VALUES (1, :migration_id, :role, :place, :is_complete);
