-- Keep what an operator does; its identifier.
INSERT INTO operation (
    verb, operator, why, target, filter, meant, done, stayed, state, began_at, changed_at
) VALUES (
    %(verb)s, %(operator)s, %(why)s, %(target)s, %(filter)s,
    %(meant)s, %(done)s, %(stayed)s, %(state)s, %(began_at)s, %(changed_at)s
)
RETURNING operation_id;
