-- Version 5: what was read of an instance at arrival, for its deliveries (`gateway.routing.kept_facts`). Empty where the
-- object is read again, which costs little but for deflated ones.
ALTER TABLE instance ADD COLUMN kept_facts TEXT NOT NULL DEFAULT '';
