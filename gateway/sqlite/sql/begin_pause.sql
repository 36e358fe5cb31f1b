-- Pause something; no row when it is paused already.
INSERT INTO pause (kind, name, operator, why, began_at, resumed_at)
VALUES (:kind, :subject, :operator, :why, :began_at, NULL)
ON CONFLICT (kind, name) DO UPDATE
SET operator = excluded.operator, why = excluded.why, began_at = excluded.began_at, resumed_at = NULL
WHERE pause.resumed_at IS NOT NULL;
