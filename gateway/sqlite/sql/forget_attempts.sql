-- Attempts of instances that are forgotten.
DELETE FROM attempt WHERE delivery_id IN (
    SELECT delivery.delivery_id FROM json_each(:ids) AS gone
    CROSS JOIN delivery ON delivery.instance_id = gone.value
);
