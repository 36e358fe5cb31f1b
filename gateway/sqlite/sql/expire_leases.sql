-- Leases of a process that is gone: due as they were before, and its token is worth nothing. It may have sent these.
UPDATE delivery INDEXED BY delivery_owed
SET due_at = coalesce(ready_at, due_at), ready_at = NULL, leased_until = NULL, lease = lease + 1, is_doubtful = 1
WHERE state = 'pending' AND state <> 'delivered' AND leased_until IS NOT NULL;
