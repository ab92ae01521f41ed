-- The simulated processor's own memory. It plays another company's system: nothing of Ledgate's reads or joins it.

CREATE SCHEMA simulator;

CREATE TABLE simulator.charges (
    idempotency_key  text COLLATE "C" PRIMARY KEY,
    amount           bigint      NOT NULL,
    currency         text        NOT NULL,
    approved         boolean     NOT NULL,
    code             text,
    description      text,
    calls            integer     NOT NULL DEFAULT 1,
    decided_at       timestamptz NOT NULL DEFAULT statement_timestamp()
);

-- One row each time that money moves.
CREATE TABLE simulator.movements (
    idempotency_key  text COLLATE "C" NOT NULL,
    amount           bigint      NOT NULL,
    moved_at         timestamptz NOT NULL DEFAULT statement_timestamp()
);
CREATE INDEX movements_by_key ON simulator.movements (idempotency_key);
