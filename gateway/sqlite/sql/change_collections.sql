-- What arrivals change: rows of [collection, last arrival, flag, institution, late, repeated, replaced, ignored, deadline], the four before
-- the deadline to be added. The deadline stays but for one that is farther away than `quiet`: when it comes, the last arrival gives the next one.
UPDATE collection
SET last_arrival_at = changed.value ->> 1, flag = changed.value ->> 2,
    institution = changed.value ->> 3,
    late = late + (changed.value ->> 4), repeated = repeated + (changed.value ->> 5),
    replaced = replaced + (changed.value ->> 6), ignored = ignored + (changed.value ->> 7),
    deadline_at = changed.value ->> 8
FROM json_each(:changes) AS changed
WHERE collection_id = changed.value ->> 0;
