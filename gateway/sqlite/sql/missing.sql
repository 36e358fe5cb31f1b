-- Which of these identifiers no delivery has.
SELECT wanted.value FROM json_each(:ids) AS wanted
WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.delivery_id = wanted.value);
