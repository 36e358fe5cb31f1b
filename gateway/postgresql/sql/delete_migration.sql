-- Take the mark of a migration away.
DELETE FROM migration;
