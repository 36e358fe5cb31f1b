-- The same for copies whose time would begin then: they are kept for as long from now on.
UPDATE kept_copy SET kept_until = kept_until - (kept_since - :now), kept_since = :now WHERE kept_since > :now;
