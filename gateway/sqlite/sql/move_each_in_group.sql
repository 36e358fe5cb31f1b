-- Deliveries of a group go each to a destination of its own, on the terms of `move_in_group`. `moves`: [delivery, destination].
UPDATE delivery SET destination = move.value ->> 1, due_at = CASE due_at WHEN 253402300799000000 THEN due_at ELSE :now END
FROM json_each(:moves) AS move
WHERE delivery.delivery_id = move.value ->> 0 AND delivery.state = 'pending' AND delivery.group_name = :group
    AND delivery.destination = :source AND delivery.is_doubtful = 0 AND delivery.leased_until IS NULL;
