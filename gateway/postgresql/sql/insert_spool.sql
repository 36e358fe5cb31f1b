-- Bind the queue to a spool.
INSERT INTO spool (spool_id) VALUES (%(spool_id)s);
