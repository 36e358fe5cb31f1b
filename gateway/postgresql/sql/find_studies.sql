-- Deliveries that an operator means, with their studies, by arrival, behind one of them. `{source}`, `{filter}`, `{behind}` (a
-- comparison) and `{direction}` come from `delivery_filters.py`.
SELECT delivery.delivery_id, instance.study_instance_uid
FROM {source}
WHERE {filter} AND delivery.delivery_id {behind} %(after)s
ORDER BY delivery.delivery_id {direction}
LIMIT %(limit)s;
