-- name: add_user
-- A new user, who has no password yet; no row for an e-mail address that somebody has.
INSERT INTO users (id, email, name, sessions_from, created_at)
VALUES (%(id)s, %(email)s, %(name)s, statement_timestamp(), statement_timestamp())
ON CONFLICT (email) DO NOTHING
RETURNING id;

-- name: find_user
-- A user by e-mail address, with what a sign-in compares.
SELECT id, email, name, operator, password_hash, sealed_totp, totp_step, created_at, disabled_at
FROM users WHERE email = %(email)s;

-- name: get_user
-- The same by id.
SELECT id, email, name, operator, password_hash, sealed_totp, totp_step, created_at, disabled_at
FROM users WHERE id = %(id)s;

-- name: hold_user
-- The same, until the end of the transaction: whoever changes password or second factor at this moment waits for it, or
-- has done so and is seen.
SELECT id, email, name, operator, password_hash, sealed_totp, totp_step, created_at, disabled_at
FROM users WHERE id = %(id)s FOR NO KEY UPDATE;

-- name: set_password
-- A password, new or first: every session that began before has ended, and so has every link.
WITH spent AS (DELETE FROM password_links WHERE user_id = %(id)s)
UPDATE users SET password_hash = %(password_hash)s, sessions_from = statement_timestamp()
WHERE id = %(id)s AND disabled_at IS NULL
RETURNING id;

-- name: renew_hash
-- The same password under today's parameters; no session ends.
UPDATE users SET password_hash = %(password_hash)s WHERE id = %(id)s AND password_hash = %(old_hash)s;

-- name: rename_user
-- What others call the user.
UPDATE users SET name = %(name)s WHERE id = %(id)s;

-- name: set_totp
-- A second factor, whose setting up used the code of that step; sessions that began before have ended.
WITH gone AS (DELETE FROM recovery_codes WHERE user_id = %(id)s)
UPDATE users SET sealed_totp = %(sealed_totp)s, totp_step = %(step)s, sessions_from = statement_timestamp()
WHERE id = %(id)s;

-- name: use_totp
-- Compare-and-set: no row back means that this code, or a later one, was used before.
UPDATE users SET totp_step = %(step)s WHERE id = %(id)s AND totp_step < %(step)s RETURNING id;

-- name: add_recovery_codes
-- New codes in place of all others.
INSERT INTO recovery_codes (user_id, code_hash)
SELECT %(id)s, decode(hash, 'hex') FROM json_array_elements_text(%(hashes)s::json) AS h (hash);

-- name: clear_recovery_codes
-- Codes that were printed before open nothing any more.
DELETE FROM recovery_codes WHERE user_id = %(id)s;

-- name: use_recovery_code
-- A code works once: its row goes. No row back for one that never was, or was used.
DELETE FROM recovery_codes WHERE user_id = %(id)s AND code_hash = %(code_hash)s RETURNING user_id;

-- name: count_recovery_codes
-- How many are left.
SELECT count(*)::int AS codes FROM recovery_codes WHERE user_id = %(id)s;

-- name: add_password_link
-- A link with which the user chooses a password; the ones before stop working.
WITH gone AS (DELETE FROM password_links WHERE user_id = %(id)s)
INSERT INTO password_links (token_hash, user_id, expires_at)
VALUES (%(token_hash)s, %(id)s, statement_timestamp() + make_interval(secs => %(seconds)s));

-- name: find_password_link
-- Whose link it is, while it works.
SELECT u.id, u.email, u.name
FROM password_links l JOIN users u ON u.id = l.user_id
WHERE l.token_hash = %(token_hash)s AND l.expires_at > statement_timestamp() AND u.disabled_at IS NULL;

-- name: use_password_link
-- Compare-and-set: no row back means that it was followed before, or has run out.
DELETE FROM password_links WHERE token_hash = %(token_hash)s AND expires_at > statement_timestamp() RETURNING user_id;

-- name: list_members
-- Who may do what for a merchant: owners first, then by name.
SELECT u.id, u.email, u.name, m.role, u.password_hash IS NOT NULL AS joined, u.sealed_totp IS NOT NULL AS second_factor,
       u.disabled_at, m.created_at,
       (SELECT max(s.seen_at) FROM sessions s WHERE s.user_id = u.id AND s.stage = 'full') AS seen_at
FROM memberships m JOIN users u ON u.id = m.user_id
WHERE m.merchant_id = {{outbox.tenant}}
ORDER BY array_position(ARRAY['owner', 'developer', 'viewer'], m.role), u.name, u.id
LIMIT 200;

-- name: lock_members
-- Who changes the members of a merchant waits for whoever does so: the last owner is counted, and must stay.
SELECT pg_advisory_xact_lock(3, hashtext(%(merchant_id)s));

-- name: judge_members
-- How many there are, how many owners that can sign in, and what role the one has who is to change.
SELECT count(*)::int AS members,
       count(*) FILTER (WHERE m.role = 'owner' AND u.disabled_at IS NULL AND m.user_id <> %(id)s)::int AS other_owners,
       max(m.role) FILTER (WHERE m.user_id = %(id)s) AS role
FROM memberships m JOIN users u ON u.id = m.user_id
WHERE m.merchant_id = {{outbox.tenant}};

-- name: grant_role
-- What a user may do for a merchant from now on.
INSERT INTO memberships (merchant_id, user_id, role, created_at)
SELECT {{outbox.tenant}}, %(id)s, %(role)s, statement_timestamp()
ON CONFLICT (merchant_id, user_id) DO UPDATE SET role = excluded.role;

-- name: revoke_role
-- From now on the user may do nothing for this merchant.
DELETE FROM memberships WHERE merchant_id = {{outbox.tenant}} AND user_id = %(id)s RETURNING user_id;

-- name: memberships_of
-- The merchants that a user may act for.
SELECT merchant_id, bucket, name, role, created_at, chosen_at FROM memberships_of(%(id)s);

-- name: choose_membership
-- The user has turned to this merchant.
UPDATE memberships SET chosen_at = statement_timestamp() WHERE merchant_id = {{outbox.tenant}} AND user_id = %(id)s;

-- name: operator_users
-- All users, for the command line.
SELECT u.id, u.email, u.name, u.operator, u.password_hash IS NOT NULL AS joined,
       u.sealed_totp IS NOT NULL AS second_factor, u.created_at, u.disabled_at,
       coalesce((SELECT json_agg(json_build_object('merchant_id', m.merchant_id, 'role', m.role) ORDER BY m.merchant_id)
                 FROM memberships m WHERE m.user_id = u.id), '[]') AS memberships
FROM users u
WHERE true
--? AND u.email = %(email)s
--? AND u.id > %(after)s
ORDER BY u.id
LIMIT %(limit)s;

-- name: operator_set_operator
-- Whether a user sees all merchants; its sessions end, as at any change of what it may do.
UPDATE users SET operator = %(operator)s, sessions_from = statement_timestamp() WHERE id = %(id)s;

-- name: operator_disable_user
-- Shuts a user out at once, or lets it in again; `disabled_at` of one that is disabled stays.
UPDATE users
SET disabled_at = CASE WHEN %(disabled)s THEN coalesce(disabled_at, statement_timestamp()) END,
    sessions_from = statement_timestamp()
WHERE id = %(id)s;
