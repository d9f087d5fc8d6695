"""Stub."""

from typing import Any


class Kept:
    checkpoint: Any = None
