-- Delete C-MOVEs with all that belongs to them, and tell all nodes.
WITH ended AS (DELETE FROM expected_move WHERE move_id IN (SELECT jsonb_array_elements_text(%(moves)s::jsonb)))
SELECT pg_notify('gateway_expected', json_build_array(current_schema(), '')::text);
