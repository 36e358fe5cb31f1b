-- Whether a group is there.
SELECT EXISTS (SELECT 1 FROM journal_{hour} WHERE group_id = %(group)s);
