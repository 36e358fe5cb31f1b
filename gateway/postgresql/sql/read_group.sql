-- All bytes of a group.
SELECT payloads FROM journal_{hour} WHERE group_id = %(group)s;
