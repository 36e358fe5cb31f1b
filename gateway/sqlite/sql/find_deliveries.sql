-- Deliveries that an operator means. `{source}`, `{filter}` (a conjunction) and `{order}` come from `delivery_filters.py`.
SELECT json_group_array(delivery_id) FROM (
    SELECT delivery.delivery_id
    FROM {source}
    WHERE {filter}
    ORDER BY {order}
    LIMIT :limit
);
