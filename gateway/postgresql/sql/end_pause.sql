-- A pause ends; no row when there is none.
UPDATE pause SET resumed_at = %(resumed_at)s
WHERE kind = %(kind)s AND name = %(subject)s AND resumed_at IS NULL;
