-- Write which C-MOVEs of others a node knows of.
UPDATE expecting_node SET moves = %(moves)s::jsonb WHERE instance = %(instance)s;
