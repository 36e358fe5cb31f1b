-- What operators did, the newest first.
SELECT operation_id, verb, operator, why, target, filter, meant, done, stayed, state, began_at, changed_at
FROM operation ORDER BY operation_id DESC LIMIT %(limit)s;
