-- The same for a table that gave some already.
UPDATE sqlite_sequence SET seq = :last WHERE name = :table AND seq < :last;
