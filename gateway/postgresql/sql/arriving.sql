-- Objects of these studies are on their way in: open collections of them are quiet later. Each row changes once a second at most,
-- and one that somebody else works on is left to the next time.
UPDATE collection SET last_arrival_at = %(now)s
FROM (
    SELECT collection_id FROM collection
    WHERE study_instance_uid = ANY (SELECT wanted FROM jsonb_array_elements_text(%(study_instance_uids)s::jsonb) AS wanted)
        AND state = 'open' AND last_arrival_at <= %(now)s::bigint - 1000000
    FOR UPDATE SKIP LOCKED
) AS found
WHERE collection.collection_id = found.collection_id;
