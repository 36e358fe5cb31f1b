-- No identifier of this table up to this one is given from now on.
INSERT INTO sqlite_sequence (name, seq)
SELECT :table, :last WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = :table);
