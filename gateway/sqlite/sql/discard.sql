-- Delete deliveries that an operator gives up, except what is under a lease.
DELETE FROM delivery
WHERE delivery_id IN (SELECT value FROM json_each(:ids)) AND state IN ('dead', 'held', 'pending') AND due_at <> 253402300799000000
    AND (leased_until IS NULL OR leased_until <= :present)
RETURNING delivery_id, instance_id, collection_id;
