-- When the first pending delivery of a destination is due; at once when it never moved since it was created or renewed.
SELECT CASE WHEN due_at = entered_at THEN least(due_at, %(now)s) ELSE due_at END
FROM due
WHERE destination = %(destination)s
ORDER BY due.due_at -- the column: without its table it is the expression above, which no index has in order
LIMIT 1;
