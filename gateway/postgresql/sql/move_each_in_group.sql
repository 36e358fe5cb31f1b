-- Deliveries of a group go each to a destination of its own, on the terms of `move_in_group`. `moves`: [delivery, destination].
WITH leased AS (
    SELECT token FROM destination_lease
    WHERE destination = %(source)s AND instance <> '' AND until > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
    FOR KEY SHARE
), found AS (
    SELECT due.delivery_id, move ->> 1 AS target
    FROM jsonb_array_elements(%(moves)s::jsonb) AS move
    JOIN due ON due.delivery_id = (move ->> 0)::bigint
    WHERE due.group_name <> '' AND due.group_name = %(group)s AND due.destination = %(source)s AND due.is_doubtful = 0
        AND due.leased_until IS NULL AND NOT EXISTS (SELECT 1 FROM leased WHERE token IS DISTINCT FROM %(token)s::bigint)
    ORDER BY due.delivery_id
    FOR UPDATE OF due SKIP LOCKED
), moved AS (
    UPDATE due SET destination = found.target, due_at = %(now)s
    FROM found WHERE due.delivery_id = found.delivery_id
    RETURNING due.delivery_id, found.target
)
UPDATE delivery SET destination = moved.target FROM moved WHERE delivery.delivery_id = moved.delivery_id;
