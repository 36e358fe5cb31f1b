-- The same for collections: an open one is looked at now, and others wait for as long from now on.
UPDATE collection
SET opened_at = least(opened_at, %(now)s), last_arrival_at = least(last_arrival_at, %(now)s),
    completed_at = CASE WHEN completed_at IS NOT NULL THEN least(completed_at, %(now)s) END,
    at_most_at = at_most_at - greatest(opened_at - %(now)s, 0), not_before_at = not_before_at - greatest(opened_at - %(now)s, 0),
    deadline_at = CASE WHEN state = 'open' THEN least(deadline_at, %(now)s)
                       ELSE deadline_at - greatest(coalesce(completed_at, 0) - %(now)s, 0) END
WHERE opened_at > %(now)s OR last_arrival_at > %(now)s OR completed_at > %(now)s;
