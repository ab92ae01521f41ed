-- name: find_session
-- Whose a cookie is, and how long nothing came with it; no row for one that was never given, has ended or is too old.
SELECT s.*, extract(epoch FROM statement_timestamp() - s.seen_at)::float8 AS idle,
       (SELECT count(*) FROM memberships_of(s.user_id))::int AS merchants
FROM find_session(%(token_hash)s) s;

-- name: add_session
-- A session at its beginning; in passing, some that are over for good are swept away.
WITH swept AS (
    DELETE FROM sessions WHERE id IN (
        SELECT id FROM sessions WHERE expires_at < statement_timestamp() ORDER BY expires_at LIMIT 50 FOR UPDATE SKIP LOCKED)
)
INSERT INTO sessions (id, token_hash, stage, user_id, merchant_id, next_path, address, user_agent,
                      began_at, seen_at, expires_at)
VALUES (%(id)s, %(token_hash)s, %(stage)s, %(user_id)s, %(merchant_id)s, %(next_path)s, %(address)s, %(user_agent)s,
        statement_timestamp(), statement_timestamp(), statement_timestamp() + make_interval(secs => %(seconds)s));

-- name: see_session
-- Somebody is there; written once a minute.
UPDATE sessions SET seen_at = statement_timestamp() WHERE id = %(id)s;

-- name: renew_session
-- The same session under a new token, after a privilege has changed: the old cookie opens nothing any more.
UPDATE sessions
SET token_hash = %(token_hash)s, began_at = statement_timestamp(), seen_at = statement_timestamp(), sealed_totp = NULL
WHERE id = %(id)s;

-- name: turn_session
-- Whose pages the session shows.
UPDATE sessions SET merchant_id = %(merchant_id)s WHERE id = %(id)s;

-- name: prepare_totp
-- A second factor that the user is about to set up: it counts from the first right code on.
UPDATE sessions SET sealed_totp = %(sealed_totp)s WHERE id = %(id)s;

-- name: read_prepared_totp
-- The one that is being set up.
SELECT sealed_totp FROM sessions WHERE id = %(id)s;

-- name: end_session
-- Signed out: the cookie opens nothing any more.
DELETE FROM sessions WHERE id = %(id)s;

-- name: take_session
-- End one that has proven what it had to; no row for one that ended meanwhile, as by a new password.
DELETE FROM sessions s USING users u
WHERE s.id = %(id)s AND u.id = s.user_id AND s.began_at >= u.sessions_from
RETURNING s.id;

-- name: end_own_session
-- One of the user's own, by its id; no row for another's.
DELETE FROM sessions WHERE id = %(id)s AND user_id = %(user_id)s RETURNING id;

-- name: end_other_sessions
-- Everywhere but here.
DELETE FROM sessions WHERE user_id = %(user_id)s AND id <> %(id)s RETURNING id;

-- name: list_sessions
-- Where a user is signed in, the latest first.
SELECT s.id, s.address, s.user_agent, s.began_at, s.seen_at
FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.user_id = %(user_id)s AND s.stage = 'full' AND s.expires_at > statement_timestamp()
    AND s.began_at >= u.sessions_from AND s.seen_at > statement_timestamp() - make_interval(secs => %(idle)s)
ORDER BY s.seen_at DESC, s.id DESC
LIMIT 100;

-- name: take_try
-- Count a try before it is judged, so that many at once are many tries. No row back: the subject is blocked. The wait
-- begins with 5 seconds after `free` failures and doubles with each; a day without any forgets them.
INSERT INTO sign_in_tries AS t (subject, failures, tried_at, blocked_until)
VALUES (%(subject)s, 1, statement_timestamp(), statement_timestamp())
ON CONFLICT (subject) DO UPDATE SET
    failures = CASE WHEN t.tried_at < statement_timestamp() - interval '1 day' THEN 1 ELSE least(t.failures + 1, 1000) END,
    tried_at = statement_timestamp(),
    blocked_until = CASE
        WHEN t.tried_at < statement_timestamp() - interval '1 day' OR t.failures + 1 < %(free)s THEN statement_timestamp()
        ELSE statement_timestamp()
            + make_interval(secs => least(%(longest)s, 5 * power(2, least(t.failures + 1 - %(free)s, 20)))::float8)
    END
WHERE t.blocked_until <= statement_timestamp()
RETURNING failures;

-- name: read_block
-- For how many seconds a subject is still blocked.
SELECT greatest(0, extract(epoch FROM blocked_until - statement_timestamp()))::float8 AS seconds
FROM sign_in_tries WHERE subject = %(subject)s;

-- name: forget_tries
-- Signed in: the account's failures are forgotten. Old ones of others are swept in passing.
DELETE FROM sign_in_tries
WHERE subject = %(subject)s OR subject IN (
    SELECT subject FROM sign_in_tries WHERE tried_at < statement_timestamp() - interval '2 days'
    ORDER BY tried_at LIMIT 50 FOR UPDATE SKIP LOCKED);

-- name: give_try_back
-- Signed in: this try of the address was none of guessing. The others stay counted, or an account of one's own would
-- buy guesses at others'.
UPDATE sign_in_tries SET failures = greatest(0, failures - 1), blocked_until = statement_timestamp()
WHERE subject = %(subject)s;
