-- Lock those of these deliveries that an operator may change: the pending ones that nobody works on, by their row in `due`,
-- and those that wait for an operator. Nobody changes them until this transaction ends.
WITH wanted AS MATERIALIZED (
    SELECT id::bigint AS delivery_id FROM jsonb_array_elements_text(%(ids)s::jsonb) AS id
), waiting AS MATERIALIZED (
    SELECT delivery.delivery_id FROM wanted JOIN delivery USING (delivery_id)
    WHERE delivery.state IN ('dead', 'held')
    ORDER BY delivery.delivery_id FOR UPDATE OF delivery
), free AS MATERIALIZED (
    SELECT due.delivery_id FROM wanted JOIN due USING (delivery_id)
    WHERE due.leased_until IS NULL OR due.leased_until <= %(present)s
    ORDER BY due.delivery_id FOR UPDATE OF due
)
SELECT coalesce(json_agg(delivery_id), '[]')::text FROM (SELECT * FROM waiting UNION ALL SELECT * FROM free) AS taken;
