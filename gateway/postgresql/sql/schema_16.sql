-- Everything that schema version 16 adds: what goes over one association together (`gateway.model.bundle`), and its place in the
-- order.
ALTER TABLE delivery ADD COLUMN bundle text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE delivery ADD COLUMN bundle_place bigint NOT NULL DEFAULT 0;
CREATE INDEX delivery_by_bundle ON delivery (destination, bundle, bundle_place) WHERE state = 'pending' AND bundle <> '';
