-- Everything that schema version 12 adds: the operation by which an operator corrected a delivery last; 0 for none.
ALTER TABLE delivery ADD COLUMN corrected_by bigint NOT NULL DEFAULT 0;
