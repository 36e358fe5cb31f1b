-- The last delivery of a collection was let go.
UPDATE collection SET state = 'complete', completed_at = %(now)s, deadline_at = %(until)s
WHERE collection_id = %(collection_id)s AND state = 'releasing';
