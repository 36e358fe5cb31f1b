-- One page of the deliveries that an operator means, by identifier: what follows costs as much as the page, whatever waits
-- beside it. `{source}` and `{filter}` come from `delivery_filters.py`.
SELECT delivery.delivery_id
FROM {source}
WHERE {filter} AND delivery.delivery_id > :after AND delivery.delivery_id <= :last
ORDER BY delivery.delivery_id
LIMIT :limit;
