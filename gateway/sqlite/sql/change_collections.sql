-- What arrivals change: rows of [collection, last arrival, flag, institution, late, repeated, replaced, ignored], the last four to be added. The
-- deadline stays: when it comes, the last arrival gives the next one.
UPDATE collection
SET last_arrival_at = changed.value ->> 1, flag = changed.value ->> 2,
    institution = changed.value ->> 3,
    late = late + (changed.value ->> 4), repeated = repeated + (changed.value ->> 5),
    replaced = replaced + (changed.value ->> 6), ignored = ignored + (changed.value ->> 7)
FROM json_each(:changes) AS changed
WHERE collection_id = changed.value ->> 0;
