-- Version 12: the operation by which an operator corrected a delivery last; 0 for none.
ALTER TABLE delivery ADD COLUMN corrected_by INTEGER NOT NULL DEFAULT 0;
