-- Version 11: the group that the destination was chosen of, and whether the destination may have the object though no response
-- came. The index has what waits for members of groups; `group_name <> ''` keeps all other statements off it.
ALTER TABLE delivery ADD COLUMN group_name TEXT NOT NULL DEFAULT '';
ALTER TABLE delivery ADD COLUMN is_doubtful INTEGER NOT NULL DEFAULT 0;
CREATE INDEX delivery_by_group ON delivery (group_name, destination, is_doubtful)
WHERE state = 'pending' AND group_name <> '';
