-- Drop attempts up to a number: rows of [delivery, last number to drop].
DELETE FROM attempt WHERE (delivery_id, number) IN (
    SELECT attempt.delivery_id, attempt.number
    FROM json_each(:drops) AS surplus
    CROSS JOIN attempt ON attempt.delivery_id = surplus.value ->> 0 AND attempt.number <= surplus.value ->> 1
);
