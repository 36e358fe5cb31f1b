-- The same for instances whose retention would begin then.
UPDATE instance SET settled_at = :now WHERE settled_at > :now;
