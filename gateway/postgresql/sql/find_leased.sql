-- Which settlements still hold their lease: rows of [index of the settlement, attempts that ended before]. Nobody claims
-- them until this transaction ends.
SELECT coalesce(json_agg(json_build_array(key - 1, attempts)), '[]') FROM (
    SELECT settlement.key, delivery.attempts
    FROM jsonb_array_elements(%(settlements)s::jsonb) WITH ORDINALITY AS settlement (value, key)
    JOIN due ON due.delivery_id = (settlement.value ->> 0)::bigint
        AND due.lease = (settlement.value ->> 1)::bigint AND due.leased_until IS NOT NULL
    JOIN delivery ON delivery.delivery_id = due.delivery_id
    FOR UPDATE OF due
) AS held;
