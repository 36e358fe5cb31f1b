-- Identifiers for so many instances and deliveries that are about to be added: [instances, deliveries].
SELECT json_build_array(
    (SELECT coalesce(json_agg(nextval('instance_ids')), '[]') FROM generate_series(1, %(instances)s)),
    (SELECT coalesce(json_agg(nextval('delivery_ids')), '[]') FROM generate_series(1, %(deliveries)s))
);
