-- Keep a group of payloads.
INSERT INTO journal_{hour} (added_at, payloads) VALUES (%(now)s, %(payloads)b) RETURNING group_id;
