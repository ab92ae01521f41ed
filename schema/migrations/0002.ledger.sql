-- What is paid: orders, payments, refunds, and the keys that make a retried request safe.
-- Money is an integer in minor units up to 2^53 - 1, the largest that JavaScript reads exactly.

CREATE TABLE orders (
    bucket             smallint    NOT NULL,
    merchant_id        text COLLATE "C" NOT NULL,
    id                 text COLLATE "C" NOT NULL,     -- ours, or the merchant's own reference
    amount             bigint      NOT NULL,
    amount_paid        bigint      NOT NULL DEFAULT 0,
    currency           text COLLATE "C" NOT NULL,
    receipt            text,
    notes              text        NOT NULL DEFAULT '{}',  -- JSON as it is shown, byte for byte
    reusable           boolean     NOT NULL DEFAULT false,
    status             text COLLATE "C" NOT NULL DEFAULT 'created',
    attempts           bigint      NOT NULL DEFAULT 0,     -- payments that came to an end
    paying_payment_id  text COLLATE "C",                   -- the one payment that may be at the processor now
    version            bigint      NOT NULL DEFAULT 1,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    PRIMARY KEY (bucket, merchant_id, id),
    CONSTRAINT orders_bucket CHECK (bucket BETWEEN 0 AND 63),
    CONSTRAINT orders_id CHECK (id ~ '^[A-Za-z0-9_.-]{1,64}$'),
    CONSTRAINT orders_amount CHECK (amount BETWEEN 1 AND 9007199254740991),
    CONSTRAINT orders_amount_paid CHECK (amount_paid >= 0 AND (reusable OR amount_paid <= amount)),
    CONSTRAINT orders_currency CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT orders_status CHECK (status IN ('created', 'attempted', 'paid')),
    CONSTRAINT orders_paid_in_full CHECK ((status = 'paid') = (NOT reusable AND amount_paid = amount)),
    CONSTRAINT orders_paying CHECK (paying_payment_id IS NULL OR (status <> 'paid' AND NOT reusable))
) WITH (fillfactor = 85);
CREATE INDEX orders_by_age ON orders (bucket, merchant_id, created_at, id);

CREATE TABLE payments (
    bucket             smallint    NOT NULL,
    merchant_id        text COLLATE "C" NOT NULL,
    id                 text COLLATE "C" NOT NULL,
    order_id           text COLLATE "C" NOT NULL,
    amount             bigint      NOT NULL,
    currency           text COLLATE "C" NOT NULL,
    method             text COLLATE "C" NOT NULL,
    vpa                text,
    flow               text COLLATE "C",
    card_brand         text COLLATE "C",
    card_last4         text COLLATE "C",
    sealed_instrument  bytea,                              -- what the processor still needs; gone once it answered
    notes              text        NOT NULL DEFAULT '{}',
    status             text COLLATE "C" NOT NULL DEFAULT 'pending',
    amount_captured    bigint      NOT NULL DEFAULT 0,
    amount_refunded    bigint      NOT NULL DEFAULT 0,
    error_code         text COLLATE "C",
    error_description  text,
    processor_ref      text COLLATE "C",
    version            bigint      NOT NULL DEFAULT 1,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    PRIMARY KEY (bucket, merchant_id, id),
    CONSTRAINT payments_bucket CHECK (bucket BETWEEN 0 AND 63),
    CONSTRAINT payments_amount CHECK (amount BETWEEN 1 AND 9007199254740991),
    CONSTRAINT payments_currency CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT payments_method CHECK (method IN ('upi', 'card')),
    CONSTRAINT payments_upi CHECK (method <> 'upi' OR (flow IN ('collect', 'intent', 'qr') AND (flow <> 'collect' OR vpa IS NOT NULL))),
    CONSTRAINT payments_card CHECK (method <> 'card' OR (card_brand IS NOT NULL AND card_last4 ~ '^[0-9]{4}$')),
    CONSTRAINT payments_status CHECK (status IN ('pending', 'success', 'failed')),
    CONSTRAINT payments_failure CHECK ((status = 'failed') = (error_code IS NOT NULL)),
    CONSTRAINT payments_captured CHECK (amount_captured BETWEEN 0 AND amount AND (amount_captured = 0 OR status = 'success')),
    CONSTRAINT payments_refunded CHECK (
        amount_refunded BETWEEN 0 AND CASE WHEN amount_captured > 0 THEN amount_captured ELSE amount END
        AND (amount_refunded = 0 OR status = 'success')),
    CONSTRAINT payments_sealed_while_pending CHECK (sealed_instrument IS NULL OR status = 'pending')
) WITH (fillfactor = 85);
CREATE INDEX payments_by_order ON payments (bucket, merchant_id, order_id, id);

CREATE TABLE refunds (
    bucket        smallint    NOT NULL,
    merchant_id   text COLLATE "C" NOT NULL,
    id            text COLLATE "C" NOT NULL,
    payment_id    text COLLATE "C" NOT NULL,
    amount        bigint      NOT NULL,
    reason        text,
    status        text COLLATE "C" NOT NULL DEFAULT 'pending',
    error_code    text COLLATE "C",
    version       bigint      NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL,
    processed_at  timestamptz,
    PRIMARY KEY (bucket, merchant_id, id),
    CONSTRAINT refunds_of_payment FOREIGN KEY (bucket, merchant_id, payment_id) REFERENCES payments (bucket, merchant_id, id),
    CONSTRAINT refunds_bucket CHECK (bucket BETWEEN 0 AND 63),
    CONSTRAINT refunds_amount CHECK (amount BETWEEN 1 AND 9007199254740991),
    CONSTRAINT refunds_status CHECK (status IN ('pending', 'processed', 'failed')),
    CONSTRAINT refunds_processed CHECK ((status = 'pending') = (processed_at IS NULL))
) WITH (fillfactor = 85);
CREATE INDEX refunds_by_payment ON refunds (bucket, merchant_id, payment_id, id);

CREATE TABLE idempotency_keys (
    bucket        smallint    NOT NULL,
    merchant_id   text COLLATE "C" NOT NULL,
    key           text COLLATE "C" NOT NULL,
    request_hash  text COLLATE "C" NOT NULL,   -- SHA-256 of method, path and the request as it was understood
    status        smallint    NOT NULL,        -- what was answered
    body          text        NOT NULL,
    created_at    timestamptz NOT NULL,
    PRIMARY KEY (bucket, merchant_id, key),
    CONSTRAINT idempotency_keys_bucket CHECK (bucket BETWEEN 0 AND 63),
    CONSTRAINT idempotency_keys_key CHECK (length(key) BETWEEN 1 AND 255)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (bucket, created_at);
