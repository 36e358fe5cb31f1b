-- Version 20: what is known of the whole of a collection (`gateway.model.expectation`), as JSON; empty where nothing is.
ALTER TABLE collection ADD COLUMN expectation TEXT NOT NULL DEFAULT '';
