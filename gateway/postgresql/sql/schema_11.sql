-- Everything that schema version 11 adds: the group that a destination was chosen of, and whether the destination may have the
-- object though no response came. Smaller than an index of `delivery` is one of `due`, where all lies that waits.
ALTER TABLE delivery ADD COLUMN group_name text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE delivery ADD COLUMN is_doubtful smallint NOT NULL DEFAULT 0; -- while it is pending, `due` has it
ALTER TABLE due ADD COLUMN group_name text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE due ADD COLUMN is_doubtful smallint NOT NULL DEFAULT 0;
CREATE INDEX due_by_group ON due (group_name, destination, is_doubtful) WHERE group_name <> '';

-- Since when a destination is down, by the server's clock; 0 while it is up, or where an earlier version wrote the row.
ALTER TABLE circuit ADD COLUMN down_since bigint NOT NULL DEFAULT 0;
