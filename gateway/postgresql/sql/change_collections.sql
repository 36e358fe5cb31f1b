-- What arrivals change: rows of [collection, last arrival, flag, institution, late, repeated, replaced, ignored, deadline], the four before
-- the deadline to be added. The deadline stays but for one that is farther away than `quiet`: when it comes, the last arrival gives the next one.
UPDATE collection
SET last_arrival_at = (changed ->> 1)::bigint, flag = changed ->> 2,
    institution = changed ->> 3,
    late = late + (changed ->> 4)::bigint, repeated = repeated + (changed ->> 5)::bigint,
    replaced = replaced + (changed ->> 6)::bigint, ignored = ignored + (changed ->> 7)::bigint,
    deadline_at = (changed ->> 8)::bigint
FROM jsonb_array_elements(%(changes)s::jsonb) AS changed
WHERE collection_id = (changed ->> 0)::bigint;
