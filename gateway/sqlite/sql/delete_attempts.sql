-- Attempts of deliveries that are gone.
DELETE FROM attempt WHERE delivery_id IN (SELECT value FROM json_each(:ids));
