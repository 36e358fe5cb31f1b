-- Nodes know of each other, and each destination is worked on by one of them.
CREATE TABLE node (
    instance text COLLATE "C" PRIMARY KEY, -- of one run of its process
    name text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    configuration text COLLATE "C" NOT NULL, -- version of the rules in force
    host text COLLATE "C" NOT NULL,
    pid bigint NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('running', 'draining')),
    destinations jsonb NOT NULL, -- names, of the rules in force
    started_at bigint NOT NULL,
    seen_at bigint NOT NULL -- by the server's clock
) WITH (fillfactor = 50);

-- A claim and a settlement lock the row of their destination FOR KEY SHARE. `token` is unique, so that this lets the holder
-- renew `until` meanwhile, and makes everything wait that changes the token.
CREATE SEQUENCE destination_tokens;
CREATE TABLE destination_lease (
    destination text COLLATE "C" PRIMARY KEY,
    instance text COLLATE "C" NOT NULL, -- of the node; empty: released
    token bigint NOT NULL UNIQUE,
    until bigint NOT NULL -- by the server's clock
) WITH (fillfactor = 50);
