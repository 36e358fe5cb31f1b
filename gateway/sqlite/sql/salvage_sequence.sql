-- The last key that a table ever gave.
SELECT seq FROM sqlite_sequence WHERE name = :table;
