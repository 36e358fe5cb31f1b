-- An open collection is not decided before a time.
UPDATE collection
SET not_before_at = :until, at_most_at = max(at_most_at, :until), deadline_at = :until
WHERE collection_id = :collection_id AND state = 'open';
