-- Attempts of instances that are forgotten.
DELETE FROM attempt USING jsonb_array_elements_text(%(ids)s::jsonb) AS gone, delivery
WHERE delivery.instance_id = gone::bigint AND attempt.delivery_id = delivery.delivery_id;
