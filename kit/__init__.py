"""What any Postgres service needs: settings, logs, pool, named SQL, ids, sealing. No word of payments."""
