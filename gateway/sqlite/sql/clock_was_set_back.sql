-- The clock was set back: what is to wait until a time that it showed before is due now, and no older than now. The newest
-- delivery is among them in whatever state: it tells that the clock was set back. What waits for a collection waits on.
UPDATE delivery
SET due_at = CASE WHEN leased_until IS NULL AND due_at < 253402300799000000 THEN min(due_at, :now) ELSE due_at END,
    ready_at = min(ready_at, :now), created_at = min(created_at, :now), renewed_at = min(renewed_at, :now)
WHERE (state = 'pending' AND ((due_at > :now AND due_at < 253402300799000000) OR created_at > :now))
    OR delivery_id = (SELECT max(delivery_id) FROM delivery);
