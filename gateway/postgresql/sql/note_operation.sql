-- An operation went on: so many more are done, and stayed.
UPDATE operation
SET done = done + %(done)s, stayed = stayed + %(stayed)s, state = %(state)s, changed_at = %(changed_at)s
WHERE operation_id = %(operation_id)s;
