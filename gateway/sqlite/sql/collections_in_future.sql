-- The same for collections: an open one is looked at now, and others wait for as long from now on.
UPDATE collection
SET opened_at = min(opened_at, :now), last_arrival_at = min(last_arrival_at, :now), completed_at = min(completed_at, :now),
    at_most_at = at_most_at - max(opened_at - :now, 0), not_before_at = not_before_at - max(opened_at - :now, 0),
    deadline_at = CASE state WHEN 'open' THEN min(deadline_at, :now)
                             ELSE deadline_at - max(coalesce(completed_at, 0) - :now, 0) END
WHERE opened_at > :now OR last_arrival_at > :now OR completed_at > :now;
