-- Facts of associations that no instance names any more.
DELETE FROM association WHERE association_id IN (SELECT value FROM json_each(:ids));
