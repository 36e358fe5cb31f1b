-- Put deliveries under a lease: nobody else finds them due until it ends, and the token fences late settlements.
UPDATE delivery
SET lease = lease + 1, ready_at = coalesce(ready_at, due_at), due_at = :until, leased_until = :until
WHERE delivery_id IN (SELECT value FROM json_each(:ids));
