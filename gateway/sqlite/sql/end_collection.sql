-- A collection ends; its deliveries are let go at once, or by whoever finds that its deadline has come.
UPDATE collection SET state = 'releasing', result = :result, outcome = :outcome, deadline_at = 0
WHERE collection_id = :collection_id;
