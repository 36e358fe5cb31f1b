-- An open collection is not decided before a time.
UPDATE collection
SET not_before_at = %(until)s, at_most_at = greatest(at_most_at, %(until)s), deadline_at = %(until)s
WHERE collection_id = %(collection_id)s AND state = 'open';
