-- Deliveries of one bundle to claim, in its order: due as in `find_due`.
SELECT json_group_array(delivery_id) FROM (
    SELECT delivery_id FROM delivery INDEXED BY delivery_by_bundle
    WHERE destination = :destination AND bundle = :bundle AND bundle <> '' AND state = 'pending'
        AND due_at <= :horizon AND (due_at <= :now OR due_at = coalesce(renewed_at, created_at))
    ORDER BY bundle_place, delivery_id
    LIMIT :limit
);
