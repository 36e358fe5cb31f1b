-- Put chosen deliveries under a lease, and name those that are still due, in their order. Otherwise as `claim`.
WITH leased_here AS (
    SELECT 1 FROM destination_lease WHERE destination = %(destination)s AND token = %(token)s FOR KEY SHARE
), found AS (
    SELECT due.delivery_id, wanted.place
    FROM jsonb_array_elements_text(%(ids)s::jsonb) WITH ORDINALITY AS wanted (id, place)
    JOIN due ON due.delivery_id = wanted.id::bigint
    WHERE due.destination = %(destination)s AND due.due_at <= %(horizon)s AND (due.due_at <= %(now)s OR due.due_at = due.entered_at)
        AND (%(token)s::bigint IS NULL OR EXISTS (SELECT 1 FROM leased_here))
    ORDER BY wanted.place
    FOR UPDATE OF due SKIP LOCKED
), leased AS (
    UPDATE due
    SET lease = due.lease + 1, ready_at = coalesce(due.ready_at, due.due_at), due_at = %(until)s, leased_until = %(until)s
    FROM found WHERE due.delivery_id = found.delivery_id
    RETURNING due.delivery_id, found.place
)
SELECT coalesce(json_agg(delivery_id ORDER BY place), '[]') FROM leased;
