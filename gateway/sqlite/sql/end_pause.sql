-- A pause ends; no row when there is none.
UPDATE pause SET resumed_at = :resumed_at
WHERE kind = :kind AND name = :subject AND resumed_at IS NULL;
