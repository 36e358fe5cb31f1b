-- C-MOVEs with the instances that they are to bring; those that have ended are left out.
SELECT coalesce(json_agg(json_build_array(
    move_id, instance, peer, hosts, our_ae_title, message_id,
    (SELECT coalesce(json_agg(sop_instance_uid), '[]') FROM expected_instance AS expected WHERE expected.move_id = move.move_id)
)), '[]')
FROM expected_move AS move WHERE move_id IN (SELECT jsonb_array_elements_text(%(moves)s::jsonb));
