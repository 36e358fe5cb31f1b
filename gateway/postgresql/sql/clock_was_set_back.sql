-- The clock was set back: what is to wait until a time that it showed before is due now, and no older than now. The newest
-- delivery is among them in whatever state: it tells that the clock was set back.
WITH moved AS (
    UPDATE due
    SET due_at = CASE WHEN leased_until IS NULL THEN least(due_at, %(now)s) ELSE due_at END,
        ready_at = CASE WHEN ready_at IS NOT NULL THEN least(ready_at, %(now)s) END, entered_at = least(entered_at, %(now)s)
    WHERE due_at > %(now)s OR entered_at > %(now)s
    RETURNING delivery_id
)
UPDATE delivery
SET created_at = least(created_at, %(now)s), renewed_at = CASE WHEN renewed_at IS NOT NULL THEN least(renewed_at, %(now)s) END
WHERE delivery_id IN (SELECT delivery_id FROM moved) OR delivery_id = (SELECT max(delivery_id) FROM delivery);
