-- Collections by definition, state and result: rows of (name, state, result, number, first opening, open ones whose `at_most` is over,
-- objects left out that came late, objects left out that came again).
SELECT name, state, result, count(*), min(opened_at), sum(CASE WHEN state = 'open' AND at_most_at <= :now THEN 1 ELSE 0 END),
    sum(ignored), sum(repeated)
FROM collection GROUP BY name, state, result ORDER BY name, state, result;
