"""The process that works the outbox off: it sends webhooks and has payments processed. Run as many as you like."""
