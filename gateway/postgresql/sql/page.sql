-- One page of the deliveries that an operator means, by identifier. `{source}` and `{filter}` come from
-- `delivery_filters.py`.
SELECT delivery.delivery_id
FROM {source}
WHERE {filter} AND delivery.delivery_id > %(after)s AND delivery.delivery_id <= %(last)s
ORDER BY delivery.delivery_id
LIMIT %(limit)s;
