-- Everything that schema version 20 adds: what is known of the whole of a collection (`gateway.model.expectation`), as JSON; empty
-- where nothing is.
ALTER TABLE collection ADD COLUMN expectation text COLLATE "C" NOT NULL DEFAULT '';
