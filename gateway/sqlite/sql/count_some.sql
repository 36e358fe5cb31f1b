-- How many of some deliveries fit, and how many were looked at. `{source}`, `{found}`, `{order}` and `{filter}` come from
-- `delivery_filters.py`.
SELECT count(*) FILTER (WHERE fits), count(*) FROM (
    SELECT ({filter}) AS fits FROM {source} WHERE {found} {order} LIMIT :looked_at
) AS looked_at;
