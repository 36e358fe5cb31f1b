-- A lock that somebody holds for longer fails this transaction.
SET LOCAL lock_timeout TO '1s';
