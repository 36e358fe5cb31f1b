-- The groups of an hour are not needed any more.
DROP TABLE journal_{hour};
