-- The same for copies whose time would begin then: they are kept for as long from now on.
UPDATE kept_copy SET kept_until = kept_until - (kept_since - %(now)s), kept_since = %(now)s WHERE kept_since > %(now)s;
