-- Number and length of the groups of an hour that came after a moment.
SELECT count(*), COALESCE(sum(octet_length(payloads)), 0)::bigint FROM journal_{hour} WHERE added_at > %(after)s;
