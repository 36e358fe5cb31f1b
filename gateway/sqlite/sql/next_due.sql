-- When the first pending delivery of a destination is due; at once when it never moved since it was created or renewed.
SELECT CASE WHEN due_at = coalesce(renewed_at, created_at) THEN min(due_at, :now) ELSE due_at END
FROM delivery
WHERE destination = :destination AND state = 'pending' AND state <> 'delivered'
ORDER BY due_at
LIMIT 1;
