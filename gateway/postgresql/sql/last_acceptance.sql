-- When the newest delivery was created that no operator has to look at.
SELECT max(created_at) FROM delivery WHERE state <> 'held';
