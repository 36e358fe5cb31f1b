-- Until this transaction ends nobody else begins a collection of these studies and series ("DGW5").
SELECT count(*) FROM (
    SELECT pg_advisory_xact_lock(1145525045, number) FROM (
        SELECT DISTINCT hashtext(current_schema() || ' ' || wanted) AS number
        FROM jsonb_array_elements_text(%(collected_keys)s::jsonb) AS wanted
        ORDER BY number
    ) AS each
) AS held;
