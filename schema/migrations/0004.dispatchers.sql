-- Who works, and how much was done. Neither table belongs to a merchant.

CREATE TABLE dispatchers (
    id          text COLLATE "C" PRIMARY KEY,
    host        text        NOT NULL,
    pid         integer     NOT NULL,
    version     text        NOT NULL,
    delivered   bigint      NOT NULL DEFAULT 0,    -- webhooks settled since its start
    processed   bigint      NOT NULL DEFAULT 0,    -- payments settled since its start
    in_flight   integer     NOT NULL DEFAULT 0,
    started_at  timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL
);

-- Work finished, counted in the settling statement: a row a second and a row a minute for each dispatcher, so that
-- the last 24 hours add up to the second from a few thousand rows, whatever the history's size.
CREATE TABLE work_tally (
    span           text COLLATE "C" NOT NULL,
    starts_at      timestamptz NOT NULL,
    writer         text COLLATE "C" NOT NULL,     -- dispatcher and kind of work: nobody else updates this row
    completed      bigint      NOT NULL,
    failed         bigint      NOT NULL,
    PRIMARY KEY (span, starts_at, writer),
    CONSTRAINT work_tally_span CHECK (span IN ('second', 'minute'))
) WITH (fillfactor = 50);
