-- Whether there are instances.
SELECT EXISTS (SELECT 1 FROM instance);
