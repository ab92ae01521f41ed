"""`ledgate webhooks`: what concerns webhooks as a whole."""

from __future__ import annotations

from cyclopts import App

app = App(name="webhooks", help="Webhooks: find out why a signature fails.")

# Named here, imported when they are called.
app.command("gateway.cli.operators.signatures:verify", name="verify")
