"""The REST API: routes, credentials, errors, OpenAPI. It decides nothing about payments."""
