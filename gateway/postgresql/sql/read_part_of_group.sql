-- Bytes of a group; the server reads no more of it than these.
SELECT substring(payloads FROM %(start)s FOR %(length)s) FROM journal_{hour} WHERE group_id = %(group)s;
