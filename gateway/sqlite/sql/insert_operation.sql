-- Keep what an operator does; its identifier.
INSERT INTO operation (
    verb, operator, why, target, filter, meant, done, stayed, state, began_at, changed_at
) VALUES (
    :verb, :operator, :why, :target, :filter,
    :meant, :done, :stayed, :state, :began_at, :changed_at
)
RETURNING operation_id;
