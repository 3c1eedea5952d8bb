"""The door: what SDKs send to, what the product asks, and what a person may demand.

`create()` is the ASGI application that `usher serve` runs in several workers; none of them keeps anything that
another would need.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["create"]


def create(settings: dict[str, Any] | None = None) -> "FastAPI":
    """The application; `settings` are by default those of `usher.settings.load()`."""
    from usher.service.app import create  # the command line imports this package and must start fast

    return create(settings)
