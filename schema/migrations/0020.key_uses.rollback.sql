DROP FUNCTION mark_keys_used(text[]);
ALTER TABLE api_keys DROP COLUMN last_used_at;
ALTER TABLE api_keys DROP COLUMN created_by;
