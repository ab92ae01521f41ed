"""`ledgate webhooks`: what concerns webhooks as a whole."""

from __future__ import annotations

from cyclopts import App

app = App(name="webhooks", help="Webhooks: send a range again, find out why a signature fails.")

# Named here, imported when they are called.
app.command("gateway.cli.operators.signatures:verify", name="verify")
app.command("gateway.cli.operators.recoveries:recover", name="recover")
app.command("gateway.cli.operators.recoveries:list_", name="recoveries")
app.command("gateway.cli.operators.recoveries:follow", name="follow")
app.command("gateway.cli.operators.recoveries:pause", name="pause")
app.command("gateway.cli.operators.recoveries:resume", name="resume")
app.command("gateway.cli.operators.recoveries:cancel", name="cancel")
