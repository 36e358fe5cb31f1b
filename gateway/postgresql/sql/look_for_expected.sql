-- [whether others wait for this node, C-MOVEs of all nodes, instances that are handed to this one, answers to those that it handed
-- to others]. The look is written, at most each second.
WITH present AS (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us),
seen AS (
    UPDATE expecting_node SET joined_at = now_us FROM present
    WHERE instance = %(instance)s AND joined_at NOT BETWEEN now_us - 1000000 AND now_us
    RETURNING instance
)
SELECT json_build_array(
    EXISTS (SELECT 1 FROM seen) OR EXISTS (
        SELECT 1 FROM expecting_node, present WHERE instance = %(instance)s AND joined_at BETWEEN now_us - 1000000 AND now_us
    ),
    (SELECT coalesce(json_agg(move_id), '[]') FROM expected_move),
    (SELECT coalesce(json_agg(json_build_array(
        handover_id, move_id, sop_class_uid, sop_instance_uid, transfer_syntax_uid, length_bytes, object_name
     )), '[]') FROM handed_instance WHERE receiver = %(instance)s AND status IS NULL),
    (SELECT coalesce(json_agg(json_build_array(handover_id, status, comment)), '[]')
     FROM handed_instance WHERE giver = %(instance)s AND status IS NOT NULL)
);
