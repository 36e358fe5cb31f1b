-- Deliveries of instances that are forgotten.
DELETE FROM delivery WHERE instance_id IN (SELECT value FROM json_each(:ids));
