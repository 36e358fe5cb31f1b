-- Nodes that receive and do not know of a C-MOVE. One that is gone is among them until it is tidied: who asks waits only for
-- so long as the last look of a node counts.
SELECT coalesce(json_agg(instance), '[]') FROM expecting_node WHERE instance <> %(instance)s AND NOT moves ? %(move_id)s;
