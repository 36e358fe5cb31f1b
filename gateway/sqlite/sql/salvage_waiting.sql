-- What waits for an operator: where the payload lies, the delivery, its state.
SELECT instance.payload_name, instance.payload_offset, delivery.destination, delivery.rule, delivery.actions_json,
       delivery.state
FROM delivery JOIN instance ON instance.instance_id = delivery.instance_id
WHERE delivery.state IN ('held', 'dead') ORDER BY delivery.delivery_id;
