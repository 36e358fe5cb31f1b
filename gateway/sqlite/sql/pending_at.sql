-- How many deliveries wait at each of these destinations; no more than `most` are counted.
SELECT name.value, (
    SELECT count(*) FROM (
        SELECT 1 FROM delivery INDEXED BY delivery_owed
        WHERE destination = name.value AND state = 'pending' AND state <> 'delivered'
        LIMIT :most
    )
)
FROM json_each(:destinations) AS name;
