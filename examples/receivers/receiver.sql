-- What a receiver keeps, in the shop's own database; both receivers use it. It may be run again at any time:
--   psql "$DATABASE_URL" -f receiver.sql

-- Every webhook that was answered with 200. Its primary key is what stops duplicates.
CREATE TABLE IF NOT EXISTS received (
    webhook_id   text        PRIMARY KEY,
    body         text        NOT NULL,                -- as it came
    received_at  timestamptz NOT NULL DEFAULT now(),
    due_at       timestamptz NOT NULL DEFAULT now(),  -- later than that after an error
    done_at      timestamptz                          -- NULL: still to be worked off
);
CREATE INDEX IF NOT EXISTS received_to_do ON received (due_at) WHERE done_at IS NULL;

-- The newest state of every payment, refund and order that has been told.
CREATE TABLE IF NOT EXISTS objects (
    kind     text   NOT NULL,            -- payment, refund or order
    id       text   NOT NULL,
    version  bigint NOT NULL DEFAULT 0,  -- 0: nothing is known yet
    data     jsonb,
    PRIMARY KEY (kind, id)
);

-- The shop's own business, as an example: each successful payment ships once.
CREATE TABLE IF NOT EXISTS shipments (
    payment_id  text        PRIMARY KEY,
    shipped_at  timestamptz NOT NULL DEFAULT now()
);
