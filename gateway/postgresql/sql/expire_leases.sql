-- Leases of a process that is gone: due as they were before, and its token is worth nothing. It may have sent these.
UPDATE due SET due_at = coalesce(ready_at, due_at), ready_at = NULL, leased_until = NULL, lease = lease + 1, is_doubtful = 1
WHERE leased_until IS NOT NULL;
