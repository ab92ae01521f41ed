"""The merchants' dashboard: pages of HTML, forms that work without a script, and what htmx adds to them."""
