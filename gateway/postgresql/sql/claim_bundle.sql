-- Put deliveries of one bundle under a lease, and name them in its order: due as in `claim`, with the token of the node.
WITH leased_here AS (
    SELECT 1 FROM destination_lease WHERE destination = %(destination)s AND token = %(token)s FOR KEY SHARE
), found AS (
    SELECT due.delivery_id, delivery.bundle_place
    FROM delivery JOIN due ON due.delivery_id = delivery.delivery_id
    WHERE delivery.destination = %(destination)s AND delivery.bundle = %(bundle)s AND delivery.bundle <> ''
        AND delivery.state = 'pending'
        AND due.due_at <= %(horizon)s AND (due.due_at <= %(now)s OR due.due_at = due.entered_at)
        AND (%(token)s::bigint IS NULL OR EXISTS (SELECT 1 FROM leased_here))
    ORDER BY delivery.bundle_place, delivery.delivery_id
    LIMIT %(limit)s
    FOR UPDATE OF due SKIP LOCKED
), leased AS (
    UPDATE due
    SET lease = due.lease + 1, ready_at = coalesce(due.ready_at, due.due_at), due_at = %(until)s, leased_until = %(until)s
    FROM found WHERE due.delivery_id = found.delivery_id
    RETURNING due.delivery_id, found.bundle_place
)
SELECT coalesce(json_agg(delivery_id ORDER BY bundle_place, delivery_id), '[]') FROM leased;
