-- Deliveries that the holder of a destination before had claimed: due as they were before, and its tokens are worth nothing.
-- It may have sent them.
-- Under a lease, a delivery is due when its lease ends, so that nothing is read of those that wait.
UPDATE due SET due_at = coalesce(ready_at, due_at), ready_at = NULL, leased_until = NULL, lease = lease + 1,
    is_doubtful = 1
WHERE destination = ANY (ARRAY(SELECT jsonb_array_elements_text(%(destinations)s::jsonb)))
    AND due_at > (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AND leased_until IS NOT NULL;
