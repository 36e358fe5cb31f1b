-- Until when an instance is kept that owes nothing; NULL for one that is not.
SELECT max(kept_until) FROM kept_copy WHERE instance_id = :instance_id AND kept_since IS NOT NULL;
