"""The commands of operators: look into the ledger and the queue, and put things right, straight in the database.

They need no running API. They work as the login that owns the tables, so they see every merchant; what only reads
does so in a read-only transaction. One module per noun, each a cyclopts app.
"""
