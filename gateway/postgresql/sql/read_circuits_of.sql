-- Rows of [destination, is up, reason, failures, wait in microseconds, refusals] of these destinations.
SELECT coalesce(json_agg(json_build_array(
    destination, is_up, reason, failures,
    greatest(try_at - (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 0), refusals
)), '[]')
FROM circuit WHERE destination IN (SELECT jsonb_array_elements_text(%(destinations)s::jsonb));
