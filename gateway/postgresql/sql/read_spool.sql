-- Identity of the spool that the payloads lie in.
SELECT spool_id FROM spool LIMIT 1;
