-- The same for instances whose retention would begin then.
UPDATE instance SET settled_at = %(now)s WHERE settled_at > %(now)s;
