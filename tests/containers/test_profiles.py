"""What only starts when somebody asks for its profile. (The pooler's is part of the story in test_compose.)"""

from __future__ import annotations

import json

from tests.containers.composed import Composed


def test_pgadmin_is_behind_a_profile() -> None:
    """On port 5050, with a password from a file, only for who asks. (Not started: its image is large.)"""
    project = Composed()
    plain = json.loads(project("config", "--format", "json"))["services"]
    admin = json.loads(project("--profile", "admin", "config", "--format", "json"))["services"]

    assert admin.keys() - plain.keys() == {"admin"}
    (port,) = admin["admin"]["ports"]
    assert (port["published"], port["host_ip"]) == ("5050", "127.0.0.1")
    environment = admin["admin"]["environment"]
    assert environment["PGADMIN_DEFAULT_PASSWORD_FILE"].startswith("/run/secrets/")
    assert "PGADMIN_DEFAULT_PASSWORD" not in environment
