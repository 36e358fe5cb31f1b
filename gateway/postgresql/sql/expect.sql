-- Write what a C-MOVE is to bring, where it is not there yet, and tell all nodes once it is committed.
WITH move AS (
    INSERT INTO expected_move (move_id, instance, peer, hosts, our_ae_title, message_id, made_at)
    VALUES (%(move_id)s, %(instance)s, %(peer)s, %(hosts)s::jsonb, %(our_ae_title)s, %(message_id)s,
            (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
    ON CONFLICT (move_id) DO NOTHING
    RETURNING move_id
), instances AS (
    INSERT INTO expected_instance (move_id, sop_instance_uid)
    SELECT move_id, jsonb_array_elements_text(%(uids)s::jsonb) FROM move
)
SELECT pg_notify('gateway_expected', json_build_array(current_schema(), '')::text);
