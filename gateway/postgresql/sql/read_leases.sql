-- All leases, and whether each is over.
SELECT coalesce(json_agg(json_build_array(
    destination, instance, token, until <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
) ORDER BY destination), '[]')
FROM destination_lease;
