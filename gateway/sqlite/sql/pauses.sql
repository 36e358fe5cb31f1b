-- What is paused, and what was resumed last.
SELECT kind, name, operator, why, began_at, resumed_at FROM pause ORDER BY kind, name;
