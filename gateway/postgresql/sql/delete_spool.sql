-- Forget the spool's identity.
DELETE FROM spool;
