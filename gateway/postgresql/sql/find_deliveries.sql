-- Deliveries that an operator means, by arrival; `{order}` is ASC or DESC. `{source}` and `{filter}` come from
-- `delivery_filters.py`.
SELECT coalesce(json_agg(delivery_id), '[]') FROM (
    SELECT delivery.delivery_id
    FROM {source}
    WHERE {filter}
    ORDER BY delivery.delivery_id {order}
    LIMIT %(limit)s
) AS found;
