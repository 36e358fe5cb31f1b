-- The length of a group.
SELECT octet_length(payloads) FROM journal_{hour} WHERE group_id = %(group)s;
