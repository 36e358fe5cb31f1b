-- The last delivery of a collection was let go.
UPDATE collection SET state = 'complete', completed_at = :now, deadline_at = :until
WHERE collection_id = :collection_id AND state = 'releasing';
