-- [C-MOVEs of all nodes, instances that are handed to this one, answers to those that it handed to others].
SELECT json_build_array(
    (SELECT coalesce(json_agg(move_id), '[]') FROM expected_move),
    (SELECT coalesce(json_agg(json_build_array(
        handover_id, move_id, sop_class_uid, sop_instance_uid, transfer_syntax_uid, length_bytes, object_name
     )), '[]') FROM handed_instance WHERE receiver = %(instance)s AND status IS NULL),
    (SELECT coalesce(json_agg(json_build_array(handover_id, status, comment)), '[]')
     FROM handed_instance WHERE giver = %(instance)s AND status IS NOT NULL)
);
