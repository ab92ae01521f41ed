-- Accounts and their credentials: small, read by key before the bucket is known, a reference table on a sharded
-- database. Every other table of a merchant begins its keys with `bucket`.

CREATE TABLE merchants (
    id          text COLLATE "C" PRIMARY KEY,
    bucket      smallint    NOT NULL,
    name        text        NOT NULL,
    created_at  timestamptz NOT NULL,
    CONSTRAINT merchants_bucket CHECK (bucket BETWEEN 0 AND 63),
    CONSTRAINT merchants_name CHECK (length(name) BETWEEN 1 AND 200)
);

CREATE TABLE api_keys (
    id           text COLLATE "C" PRIMARY KEY,      -- the public half, `X-Api-Key`
    merchant_id  text COLLATE "C" NOT NULL REFERENCES merchants (id),
    secret_hash  bytea       NOT NULL,              -- SHA-256; the secret itself is shown once and kept nowhere
    scopes       text[]      NOT NULL,
    created_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    CONSTRAINT api_keys_secret_hash CHECK (length(secret_hash) = 32),
    CONSTRAINT api_keys_scopes CHECK (scopes <@ ARRAY['read', 'write', 'dashboard'] AND cardinality(scopes) > 0)
);
CREATE INDEX api_keys_by_merchant ON api_keys (merchant_id);
