-- An operation went on: so many more are done, and stayed.
UPDATE operation
SET done = done + :done, stayed = stayed + :stayed, state = :state, changed_at = :changed_at
WHERE operation_id = :operation_id;
