-- Which settlements still hold their lease: rows of [index of the settlement, attempts that ended before].
SELECT json_group_array(json_array(settlement.key, delivery.attempts))
FROM json_each(:settlements) AS settlement
CROSS JOIN delivery ON delivery.delivery_id = settlement.value ->> 0
    AND delivery.lease = settlement.value ->> 1 AND delivery.leased_until IS NOT NULL;
