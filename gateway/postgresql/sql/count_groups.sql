-- Number and length of the groups of an hour between two numbers.
SELECT count(*), COALESCE(sum(octet_length(payloads)), 0)::bigint FROM journal_{hour}
WHERE group_id > %(after)s AND group_id <= %(until)s;
