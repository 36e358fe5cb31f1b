-- Deliveries that wait for their collection: rows of [collection, delivery].
INSERT INTO waiting_delivery (collection_id, delivery_id)
SELECT row.value ->> 0, row.value ->> 1 FROM json_each(:rows) AS row;
