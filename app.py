"""The Chalice application: routes, schedules and functions, each handing over to one service."""

from __future__ import annotations

from typing import Any

from chalice.app import Chalice, Rate

from chalicelib import lambda_entry
from chalicelib.api.auth import auth
from chalicelib.api.configuring import configuring
from chalicelib.api.followed import followed
from chalicelib.api.guard import secure
from chalicelib.api.reading import reading
from chalicelib.api.records import records
from chalicelib.api.trading import trading
from chalicelib.api.watching import watching

app = Chalice(app_name="papercopy")
secure(app)
app.register_blueprint(auth)
app.register_blueprint(reading)
app.register_blueprint(records)
app.register_blueprint(followed)
app.register_blueprint(trading)
app.register_blueprint(configuring)
app.register_blueprint(watching)
lambda_entry.serve_reads()


@app.lambda_function(name="ingest")
def ingest(event: dict[str, Any], context: object) -> Any:
    """Fill messages of the FIFO queue."""
    return lambda_entry.ingest(event, context)


@app.lambda_function(name="poll")
def poll(event: dict[str, Any], context: object) -> Any:
    """Poll ticks of the standard queue."""
    return lambda_entry.poll(event, context)


@app.lambda_function(name="advance")
def advance(event: dict[str, Any], context: object) -> Any:
    """One step of the copy workflow."""
    return lambda_entry.advance(event, context)


@app.lambda_function(name="config_test")
def config_test(event: dict[str, Any], context: object) -> Any:
    """A test of a configuration that the API was asked for."""
    return lambda_entry.config_test(event, context)


@app.schedule(Rate(1, unit=Rate.MINUTES), name="poll_tick")
def poll_tick(event: Any) -> None:
    """Send the next minute's poll ticks."""
    lambda_entry.poll_tick(event.to_dict(), event.context)


@app.schedule(Rate(1, unit=Rate.MINUTES), name="sweep")
def sweep(event: Any) -> None:
    """Finish overdue work."""
    lambda_entry.sweep(event.to_dict(), event.context)


@app.schedule(Rate(15, unit=Rate.MINUTES), name="sync_markets")
def sync_markets(event: Any) -> None:
    """Refresh the market registry."""
    lambda_entry.sync_markets(event.to_dict(), event.context)


@app.schedule(Rate(1, unit=Rate.MINUTES), name="mark_portfolios")
def mark_portfolios(event: Any) -> None:
    """Value what is held."""
    lambda_entry.mark_portfolios(event.to_dict(), event.context)


@app.schedule(Rate(5, unit=Rate.MINUTES), name="measure")
def measure(event: Any) -> None:
    """Hold what was detected against the venue's own record."""
    lambda_entry.measure(event.to_dict(), event.context)
