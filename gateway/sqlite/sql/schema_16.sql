-- Version 16: what goes over one association together (`gateway.model.bundle`), and its place in the order. `bundle <> ''` keeps all
-- other statements off the index.
ALTER TABLE delivery ADD COLUMN bundle TEXT NOT NULL DEFAULT '';
ALTER TABLE delivery ADD COLUMN bundle_place INTEGER NOT NULL DEFAULT 0;
CREATE INDEX delivery_by_bundle ON delivery (destination, bundle, bundle_place) WHERE state = 'pending' AND bundle <> '';
