-- Deliveries that an operator means, by arrival; `{order}` is ASC or DESC. `{filter}` is a conjunction from the table in `delivery_filters.py`.
SELECT json_group_array(delivery_id) FROM (
    SELECT delivery.delivery_id
    FROM delivery JOIN instance ON instance.instance_id = delivery.instance_id
    WHERE {filter}
    ORDER BY delivery.delivery_id {order}
    LIMIT :limit
);
