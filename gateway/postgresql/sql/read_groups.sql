-- All bytes of some groups.
SELECT group_id, payloads FROM journal_{hour} WHERE group_id = ANY(%(groups)s::bigint[]);
