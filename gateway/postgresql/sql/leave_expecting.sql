-- A node receives no more, and waits for nothing.
WITH moves AS (DELETE FROM expected_move WHERE instance = %(instance)s)
DELETE FROM expecting_node WHERE instance = %(instance)s;
