-- Deliveries that are put back as they were, or that an operation made.
DELETE FROM delivery WHERE delivery_id IN (SELECT value FROM json_each(:ids));
