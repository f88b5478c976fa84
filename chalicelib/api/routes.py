"""A blueprint that several applications of one process can register.

Chalice's own takes `methods` out of a route's options when it registers it, so the second
application would serve every POST as a GET: past the check that a write needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chalice.app import Blueprint, Chalice

View = Callable[..., Any]


class Routes(Blueprint):
    """Routes alone, no other kind of handler."""

    def __init__(self, import_name: str) -> None:
        super().__init__(import_name)
        self.declared: list[tuple[str, dict[str, Any], View]] = []

    def route(self, path: str, **options: Any) -> Callable[[View], View]:
        """Declare a view; `options` are those of `Chalice.route`."""

        def declared(view: View) -> View:
            self.declared.append((path, options, view))
            return view

        return declared

    def register(self, app: Chalice, options: dict[str, Any]) -> None:
        """Called by the application that registers this."""
        super().register(app, options)
        for path, given, view in self.declared:
            app.route(path, **given)(view)
