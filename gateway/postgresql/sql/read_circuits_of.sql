-- Rows of [destination, is up, reason, failures, wait in microseconds, microseconds since it is down or NULL, refusals] of these destinations.
SELECT coalesce(json_agg(json_build_array(
    destination, is_up, reason, failures,
    greatest(try_at - (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 0),
    CASE WHEN NOT is_up AND down_since > 0 THEN (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - down_since END, refusals
)), '[]')
FROM circuit WHERE destination IN (SELECT jsonb_array_elements_text(%(destinations)s::jsonb));
