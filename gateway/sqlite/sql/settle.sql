-- Write the new state of deliveries whose lease was found valid in this transaction, and end the lease. One that comes back
-- without an attempt takes its old place again, unless it is to wait.
UPDATE delivery
SET state = settlement.value ->> 2,
    due_at = CASE WHEN settlement.value ->> 5 = 0 AND settlement.value ->> 3 <= :now
                  THEN delivery.ready_at ELSE settlement.value ->> 3 END,
    reason = CASE WHEN settlement.value ->> 5 = 0 AND settlement.value ->> 4 = '' THEN delivery.reason
                  ELSE settlement.value ->> 4 END,
    attempts = delivery.attempts + (settlement.value ->> 5),
    is_doubtful = CASE settlement.value ->> 2 WHEN 'delivered' THEN 0
                  ELSE max(delivery.is_doubtful, settlement.value ->> 6) END,
    ready_at = NULL, leased_until = NULL
FROM json_each(:settlements) AS settlement
WHERE delivery.delivery_id = settlement.value ->> 0
    AND delivery.lease = settlement.value ->> 1 AND delivery.leased_until IS NOT NULL;
