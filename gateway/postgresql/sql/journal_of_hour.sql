-- How many groups an hour has; number and length of those that an instance names and that lie in no object yet.
SELECT count(*), count(*) FILTER (WHERE waits), coalesce(sum(length_bytes) FILTER (WHERE waits), 0)::bigint
FROM (
    SELECT octet_length(payloads) AS length_bytes,
        NOT EXISTS (SELECT 1 FROM sealed_group WHERE payload_name = 'journal/{hour}/' || group_id)
        AND EXISTS (SELECT 1 FROM instance WHERE payload_name = 'journal/{hour}/' || group_id) AS waits
    FROM journal_{hour}
) AS groups;
