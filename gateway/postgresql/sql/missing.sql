-- Which of these identifiers no delivery has.
SELECT wanted::bigint FROM jsonb_array_elements_text(%(ids)s::jsonb) WITH ORDINALITY AS each (wanted, key)
WHERE NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.delivery_id = wanted::bigint)
ORDER BY key;
