-- People: users of the dashboard, what they may do for which merchant, their sessions, and what they did. Users are few
-- and belong to no merchant: reference tables on a sharded database, as merchants and api_keys are.
--
-- The dashboard works as `ledgate_dashboard`: a member of `ledgate_api`, whose row security holds for it too, and besides
-- the only role that sees users and sessions. The API and the open checkout see none of them. `ledgate_operator` reads all
-- merchants and writes nothing; the dashboard enters it for one transaction at a time (docs/decisions/0015).

DO $$
BEGIN
    CREATE ROLE ledgate_dashboard NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$
BEGIN
    CREATE ROLE ledgate_operator NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$
BEGIN
    IF NOT pg_has_role('ledgate_dashboard', 'ledgate_api', 'MEMBER') THEN
        GRANT ledgate_api TO ledgate_dashboard;
    END IF;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT ledgate_dashboard, ledgate_operator TO %I', current_user);
    END IF;
EXCEPTION WHEN unique_violation OR object_in_use THEN NULL;  -- another database of the server, at the same moment
END $$;

CREATE TABLE users (
    id             text COLLATE "C" PRIMARY KEY,
    email          text COLLATE "C" NOT NULL UNIQUE,
    name           text        NOT NULL,
    password_hash  text,                                -- argon2id; none until the first link was followed
    operator       boolean     NOT NULL DEFAULT false,  -- sees all merchants
    sealed_totp    bytea,                               -- the second factor's secret, if there is one
    totp_step      bigint      NOT NULL DEFAULT 0,      -- of the code that was used last: none is good twice
    sessions_from  timestamptz NOT NULL,                -- sessions that began before have ended
    created_at     timestamptz NOT NULL,
    disabled_at    timestamptz,
    CONSTRAINT users_email CHECK (length(email) BETWEEN 3 AND 254 AND email = lower(email) AND email LIKE '%_@_%'),
    CONSTRAINT users_name CHECK (length(name) BETWEEN 1 AND 100),
    CONSTRAINT users_password_hash CHECK (password_hash LIKE '$argon2id$%')
);

CREATE TABLE memberships (
    merchant_id  text COLLATE "C" NOT NULL REFERENCES merchants (id),
    user_id      text COLLATE "C" NOT NULL REFERENCES users (id),
    role         text COLLATE "C" NOT NULL,
    created_at   timestamptz NOT NULL,
    chosen_at    timestamptz,                           -- when the user last turned to it: there they sign in again
    PRIMARY KEY (merchant_id, user_id),
    CONSTRAINT memberships_role CHECK (role IN ('owner', 'developer', 'viewer'))
);
CREATE INDEX memberships_by_user ON memberships (user_id);

-- Codes for the day on which the telephone is lost; each works once, which is to say: its row goes.
CREATE TABLE recovery_codes (
    user_id    text COLLATE "C" NOT NULL REFERENCES users (id),
    code_hash  bytea NOT NULL,                          -- SHA-256 of 80 random bits
    PRIMARY KEY (user_id, code_hash),
    CONSTRAINT recovery_codes_hash CHECK (length(code_hash) = 32)
);

-- Links with which a user chooses a password: an invitation, or a reset. Each works once.
CREATE TABLE password_links (
    token_hash  bytea PRIMARY KEY,                      -- SHA-256 of 32 random bytes
    user_id     text COLLATE "C" NOT NULL REFERENCES users (id),
    expires_at  timestamptz NOT NULL,
    CONSTRAINT password_links_hash CHECK (length(token_hash) = 32)
);
CREATE INDEX password_links_by_user ON password_links (user_id);

CREATE TABLE sessions (
    id             text COLLATE "C" PRIMARY KEY,
    token_hash     bytea       NOT NULL UNIQUE,         -- SHA-256 of the cookie; the cookie itself is kept nowhere
    stage          text COLLATE "C" NOT NULL,           -- `setup`: came with an API key and makes the first owner;
                                                        -- `second`: the password was right; `full`: signed in
    user_id        text COLLATE "C" REFERENCES users (id),
    merchant_id    text COLLATE "C" REFERENCES merchants (id),  -- whose pages are shown
    next_path      text,                                -- where the user wanted to go
    sealed_totp    bytea,                               -- a second factor that is being set up
    address        text        NOT NULL,
    user_agent     text        NOT NULL,
    began_at       timestamptz NOT NULL,                -- signed in, or the token was renewed for a privilege
    seen_at        timestamptz NOT NULL,                -- to the minute
    expires_at     timestamptz NOT NULL,                -- whatever happens
    CONSTRAINT sessions_token CHECK (length(token_hash) = 32),
    CONSTRAINT sessions_stage CHECK (stage IN ('setup', 'second', 'full')),
    CONSTRAINT sessions_user CHECK ((stage = 'setup') = (user_id IS NULL))
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

-- Wrong sign-ins of an e-mail address, whether or not somebody has it, and of a network address.
CREATE TABLE sign_in_tries (
    subject        text COLLATE "C" PRIMARY KEY,
    failures       integer     NOT NULL,
    tried_at       timestamptz NOT NULL,
    blocked_until  timestamptz NOT NULL,
    CONSTRAINT sign_in_tries_failures CHECK (failures >= 0)
);
CREATE INDEX sign_in_tries_by_age ON sign_in_tries (tried_at);

-- Who did what. Appended, never changed; what concerns no merchant is the merchant's `operators`.
CREATE TABLE audit_log (
    bucket       smallint    NOT NULL,
    merchant_id  text COLLATE "C" NOT NULL,
    id           text COLLATE "C" NOT NULL,
    at           timestamptz NOT NULL,
    user_id      text COLLATE "C",                      -- none: an API key, or the command line
    actor        text        NOT NULL,                  -- as they were called then
    action       text COLLATE "C" NOT NULL,             -- `refund.created`
    object       text COLLATE "C" NOT NULL,             -- the id of what it was done to
    detail       text        NOT NULL DEFAULT '{}',     -- JSON, what an auditor asks next
    address      text        NOT NULL,
    PRIMARY KEY (bucket, merchant_id, id),
    CONSTRAINT audit_log_bucket CHECK (bucket BETWEEN 0 AND 63),
    CONSTRAINT audit_log_action CHECK (action ~ '^[a-z_]+\.[a-z_]+$'),
    CONSTRAINT audit_log_detail CHECK (length(detail) <= 4000)
);

CREATE INDEX audit_log_by_age ON audit_log USING brin (bucket, at);  -- for its end; appended, so a page is a time

ALTER TABLE memberships ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON memberships TO ledgate_dashboard USING (merchant_id IS NOT DISTINCT FROM tenant());
ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON audit_log TO ledgate_dashboard USING (merchant_id IS NOT DISTINCT FROM tenant());

GRANT USAGE ON SCHEMA public TO ledgate_dashboard, ledgate_operator;
GRANT SELECT ON users, memberships, recovery_codes, password_links, sessions, sign_in_tries, audit_log
    TO ledgate_dashboard;
GRANT INSERT ON memberships, recovery_codes, password_links, sessions, sign_in_tries, audit_log TO ledgate_dashboard;
-- Nobody becomes an operator, or is disabled, through a browser.
GRANT INSERT (id, email, name, password_hash, sessions_from, created_at) ON users TO ledgate_dashboard;
GRANT UPDATE (name, password_hash, sealed_totp, totp_step, sessions_from) ON users TO ledgate_dashboard;
GRANT UPDATE (role, chosen_at) ON memberships TO ledgate_dashboard;
GRANT UPDATE ON sessions, sign_in_tries TO ledgate_dashboard;
GRANT DELETE ON memberships, recovery_codes, password_links, sessions, sign_in_tries TO ledgate_dashboard;

DO $$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['merchants', 'orders', 'payments', 'refunds', 'endpoints', 'endpoint_health',
                                        'events', 'outbox', 'deliveries', 'delivery_attempts', 'recoveries',
                                        'memberships', 'audit_log'] LOOP
        EXECUTE format('CREATE POLICY every_tenant ON %I FOR SELECT TO ledgate_operator USING (true)', tenant_table);
    END LOOP;
END $$;
GRANT SELECT ON merchants, orders, payments, refunds, endpoint_health, events, outbox, deliveries, delivery_attempts,
    recoveries, webhook_logs, dispatchers, work_tally, histories, memberships, audit_log, _yoyo_migration
    TO ledgate_operator;
-- Without what is sealed.
GRANT SELECT (bucket, merchant_id, id, url, event_types, description, retry_schedule, rate, ordered, is_default, enabled,
    disabled_reason, disabled_at, version, created_at, updated_at) ON endpoints TO ledgate_operator;
GRANT SELECT (id, email, name, operator, created_at, disabled_at) ON users TO ledgate_operator;

-- Asked before a merchant is known: whose session a cookie is, and whom a user may act for. An operator may look at any
-- merchant as a viewer does.
CREATE FUNCTION find_session(wanted bytea)
RETURNS TABLE (id text, stage text, user_id text, email text, user_name text, operator boolean, second_factor boolean,
               merchant_id text, bucket smallint, merchant_name text, role text, next_path text, began_at timestamptz,
               seen_at timestamptz, expires_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 1 SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT s.id, s.stage, u.id, u.email, u.name, coalesce(u.operator, false), u.sealed_totp IS NOT NULL,
           m.id, m.bucket, m.name, coalesce(p.role, CASE WHEN u.operator AND m.id IS NOT NULL THEN 'viewer' END),
           s.next_path, s.began_at, s.seen_at, s.expires_at
    FROM sessions s
    LEFT JOIN users u ON u.id = s.user_id
    LEFT JOIN merchants m ON m.id = s.merchant_id
    LEFT JOIN memberships p ON p.merchant_id = s.merchant_id AND p.user_id = s.user_id
    WHERE s.token_hash = wanted AND s.expires_at > statement_timestamp()
        AND (s.user_id IS NULL OR (u.disabled_at IS NULL AND s.began_at >= u.sessions_from))
$$;
CREATE FUNCTION memberships_of(wanted text)
RETURNS TABLE (merchant_id text, bucket smallint, name text, role text, created_at timestamptz, chosen_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER ROWS 10 SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT m.id, m.bucket, m.name, p.role, p.created_at, p.chosen_at
    FROM memberships p JOIN merchants m ON m.id = p.merchant_id
    WHERE p.user_id = wanted
    ORDER BY m.name, m.id
    LIMIT 200
$$;
REVOKE ALL ON FUNCTION find_session(bytea), memberships_of(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_session(bytea), memberships_of(text) TO ledgate_dashboard;
