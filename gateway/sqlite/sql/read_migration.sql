-- The mark of a migration from this store or to it.
SELECT migration_id, role, place, is_complete FROM migration;
