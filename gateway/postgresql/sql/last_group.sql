-- The number of the group that was begun last.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM journal_groups;
