-- Version 6: `created_at` stays the time of arrival. From when the age of a delivery is counted that an operator retried or
-- released; NULL: from its arrival.
ALTER TABLE delivery ADD COLUMN renewed_at INTEGER;
