-- End leases, whose tokens are worth nothing from now on; rows of [destination, token].
UPDATE destination_lease SET instance = '', token = nextval('destination_tokens'), until = 0
FROM jsonb_array_elements(%(leases)s::jsonb) AS held
WHERE destination_lease.destination = held ->> 0 AND destination_lease.token = (held ->> 1)::bigint;
