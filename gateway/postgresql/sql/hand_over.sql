-- Hand an instance to the node that waits, which is told; NULL when the C-MOVE has ended.
WITH move AS (
    SELECT instance FROM expected_move WHERE move_id = %(move_id)s FOR KEY SHARE
), handed AS (
    INSERT INTO handed_instance (handover_id, move_id, giver, receiver, sop_class_uid, sop_instance_uid, transfer_syntax_uid,
                                 length_bytes, object_name, payload)
    SELECT %(handover_id)s, %(move_id)s, %(giver)s, instance, %(sop_class_uid)s, %(sop_instance_uid)s,
           %(transfer_syntax_uid)s, %(length_bytes)s, %(object_name)s, %(payload)b
    FROM move
    RETURNING receiver
)
SELECT pg_notify('gateway_expected', json_build_array(current_schema(), receiver)::text)::text FROM handed;
