"""The API beside the dispatcher, for what merchants manage there and receivers feel."""

from tests.gateway.conftest import api

__all__ = ["api"]
