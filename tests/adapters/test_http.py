"""The HTTP client against a local host; time is faked, so nothing waits."""

from decimal import Decimal

import pytest
from venue_fakes import CountingMetrics, FakeTime, Reply, http_host

from chalicelib.adapters.polymarket.http import (
    HttpClient,
    HttpPolicy,
    NotFound,
    Unavailable,
    retry_after_ms,
)
from chalicelib.adapters.polymarket.throttle import CircuitBreaker, Pause, TokenBucket
from chalicelib.domain.errors import Permanent, RateLimited, Retryable

NOON_S = 1_794_830_400
"""Monday, 16 November 2026, 12:00 UTC."""


def client(base: str, time: FakeTime, metrics: CountingMetrics, **options: object) -> HttpClient:
    return HttpClient(
        base,
        metrics,
        name="data",
        bucket=TokenBucket(100, 100, now=time.now, sleep=time.sleep),
        now=time.now,
        wall=lambda: NOON_S,
        sleep=time.sleep,
        jitter=lambda: 1.0,
        **options,
    )


def test_numbers_are_exact_and_parameters_may_repeat() -> None:
    time, metrics = FakeTime(), CountingMetrics()
    with http_host([Reply(body='{"price": 0.4800000008, "n": 3}')]) as (base, seen):
        answer = client(base + "/", time, metrics).get("/m", [("version", "v1"), ("version", "v2")])
    assert answer == {"price": Decimal("0.4800000008"), "n": 3}
    assert type(answer["price"]) is Decimal
    assert seen == ["/m?version=v1&version=v2"]
    assert metrics.counts == {"data_requests": 1}


@pytest.mark.parametrize(
    "bad", [Reply(503), Reply(500), Reply(425), Reply(body="<html>"), Reply(body='{"a": NaN}')]
)
def test_passing_trouble_is_retried(bad: Reply) -> None:
    time, metrics = FakeTime(), CountingMetrics()
    with http_host([bad, bad, Reply(body="[1]")]) as (base, seen):
        assert client(base, time, metrics).get("/x") == [1]
    assert len(seen) == 3
    assert time.naps == [0.25, 0.5]
    assert metrics.counts == {"data_requests": 3, "data_errors": 2, "data_retries": 2}


def test_attempts_are_bounded() -> None:
    time, metrics = FakeTime(), CountingMetrics()
    with http_host([Reply(500)]) as (base, seen), pytest.raises(Retryable, match="status 500"):
        client(base, time, metrics).post("/books", [{"token_id": "1"}])
    assert len(seen) == 3


@pytest.mark.parametrize(("status", "kind"), [(400, Permanent), (404, NotFound), (302, Permanent)])
def test_refusals_are_not_repeated(status: int, kind: type[Exception]) -> None:
    time, metrics = FakeTime(), CountingMetrics()
    elsewhere = {"Location": "http://127.0.0.1:9/elsewhere"}
    with http_host([Reply(status, headers=elsewhere)]) as (base, seen), pytest.raises(kind):
        client(base, time, metrics).get("/x")
    assert len(seen) == 1
    assert metrics.counts["data_refused"] == 1


def test_429_is_counted_apart_and_retry_after_holds_everybody_back() -> None:
    time, metrics = FakeTime(), CountingMetrics()
    limited = Reply(429, "slow down", {"Retry-After": "2"})
    with http_host([limited, Reply(body="1")]) as (base, _):
        assert client(base, time, metrics).get("/x") == 1
    assert sum(time.naps) == pytest.approx(2.0)
    assert metrics.counts == {"data_requests": 2, "data_429": 1, "data_retries": 1}


def test_a_bare_429_backs_off() -> None:
    time, metrics = FakeTime(), CountingMetrics()
    with http_host([Reply(429, ""), Reply(body="1")]) as (base, _):
        assert client(base, time, metrics).get("/x") == 1
    assert time.naps == [0.25]


def test_a_long_retry_after_is_passed_on_and_the_next_call_refused_at_once() -> None:
    time, metrics = FakeTime(), CountingMetrics()
    with http_host([Reply(429, "", {"Retry-After": "30"})]) as (base, seen):
        http = client(base, time, metrics)
        with pytest.raises(RateLimited) as first:
            http.get("/x")
        with pytest.raises(RateLimited):
            http.get("/x")
        assert len(seen) == 1
    assert first.value.retry_after_ms == 30_000
    assert time.naps == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", 3_000),
        (" 0 ", 0),
        ("99999", 60_000),
        ("Mon, 16 Nov 2026 12:00:07 GMT", 7_000),
        ("Mon, 16 Nov 2026 11:59:00 GMT", 0),
        ("Mon, 16 Nov 2026 12:00:07", 7_000),
        ("Mon, 16 Nov 2026 13:00:00 GMT", 60_000),
        ("Mon, 16 Nov 99999 12:00:00 GMT", None),
        ("soon", None),
        (None, None),
        ("", None),
        ("²", None),
        ("-1", None),
    ],
)
def test_retry_after(text: str | None, expected: int | None) -> None:
    assert retry_after_ms(text, NOON_S) == expected


def test_a_date_to_retry_after_is_waited_for() -> None:
    time, metrics = FakeTime(), CountingMetrics()
    limited = Reply(429, "", {"Retry-After": "Mon, 16 Nov 2026 12:00:04 GMT"})
    with http_host([limited, Reply(body="1")]) as (base, _):
        assert client(base, time, metrics).get("/x") == 1
    assert sum(time.naps) == pytest.approx(4.0)


def test_a_host_out_of_service_is_left_alone_as_long_as_it_says() -> None:
    time, metrics = FakeTime(), CountingMetrics()
    away = Reply(503, "", {"Retry-After": "5"})
    with http_host([away, Reply(body="1")]) as (base, _):
        assert client(base, time, metrics).get("/x") == 1
    assert sum(time.naps) == pytest.approx(5.0)
    assert metrics.counts == {"data_requests": 2, "data_errors": 1, "data_retries": 1}


def test_a_host_long_out_of_service_is_not_waited_for() -> None:
    time, metrics = FakeTime(), CountingMetrics()
    with http_host([Reply(503, "", {"Retry-After": "40"})]) as (base, seen):
        with pytest.raises(Unavailable) as away:
            client(base, time, metrics).get("/x")
        assert len(seen) == 1
    assert (away.value.retry_after_ms, time.naps) == (40_000, [])


def test_clients_of_one_host_can_share_its_pause() -> None:
    time, metrics = FakeTime(), CountingMetrics()
    pause = Pause(now=time.now, sleep=time.sleep)
    with http_host([Reply(429, "", {"Retry-After": "30"})]) as (base, seen):
        with pytest.raises(RateLimited):
            client(base, time, metrics, pause=pause).get("/x")
        with pytest.raises(RateLimited, match="left alone"):
            client(base, time, metrics, pause=pause).get("/x")
        assert len(seen) == 1


def test_nobody_there_is_retryable_and_does_not_name_the_address() -> None:
    with http_host([Reply()]) as (base, _):
        gone = base
    http = client(gone + "/v2/secret-key", FakeTime(), CountingMetrics())
    with pytest.raises(Retryable) as failure:
        http.get("")
    assert "secret-key" not in str(failure.value)
    assert failure.value.__cause__ is None


def test_a_slow_host_times_out() -> None:
    policy = HttpPolicy(connect_timeout_s=1, read_timeout_s=0.1, attempts_max=1)
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Retryable, match="Timeout"):
            client(base, FakeTime(), CountingMetrics(), policy=policy).get("/x")


def test_the_breaker_opens_and_lets_one_try_later() -> None:
    time, metrics = FakeTime(), CountingMetrics()
    breaker = CircuitBreaker(3, 10, now=time.now)
    with http_host([Reply(500), Reply(500), Reply(500), Reply(body="1")]) as (base, seen):
        http = client(base, time, metrics, breaker=breaker)
        with pytest.raises(Retryable):
            http.get("/x")
        assert breaker.is_open
        with pytest.raises(Retryable, match="left alone"):
            http.get("/x")
        assert len(seen) == 3
        time.now_s += 10
        assert http.get("/x") == 1
        assert not breaker.is_open
    named = {name: n for name, n in metrics.counts.items() if "breaker" in name}
    assert named == {
        "data_breaker_opened": 1,
        "data_breaker_refused": 1,
        "data_breaker_closed": 1,
    }


def test_half_open_admits_one_caller() -> None:
    time = FakeTime()
    breaker = CircuitBreaker(1, 10, now=time.now)
    breaker.failed()
    time.now_s += 10
    breaker.check()
    with pytest.raises(Retryable):
        breaker.check()


def test_the_bucket_paces_after_its_burst() -> None:
    time = FakeTime()
    bucket = TokenBucket(20, 40, now=time.now, sleep=time.sleep)
    for _ in range(40):
        bucket.take()
    assert time.naps == []
    for _ in range(20):
        bucket.take()
    assert time.now_s == pytest.approx(1_001.0)


@pytest.mark.parametrize("shares", [1, 2, 7, 40])
def test_processes_that_share_a_budget_keep_it_together(shares: int) -> None:
    time = FakeTime()
    buckets = [
        TokenBucket(20, 40, shares=shares, now=time.now, sleep=time.sleep) for _ in range(shares)
    ]
    taken = 0
    for bucket in buckets:
        while not time.naps:
            bucket.take()
            taken += not time.naps
        time.now_s -= sum(time.naps)
        time.naps.clear()
    assert 40 - shares < taken <= 40
    bucket = TokenBucket(20, 40, shares=shares, now=time.now, sleep=time.sleep)
    began = time.now_s
    for _ in range(40 // shares + 20):
        bucket.take()
    assert time.now_s - began == pytest.approx(shares)


def test_a_bucket_needs_sensible_numbers() -> None:
    for rate, burst, shares in ((0, 1, 1), (1, 0, 1), (1, 1, 0)):
        with pytest.raises(ValueError, match="at least one"):
            TokenBucket(rate, burst, shares=shares)


def test_the_bucket_refuses_a_queue_that_is_too_long() -> None:
    stuck = FakeTime()
    bucket = TokenBucket(1, 1, now=stuck.now, sleep=lambda _: None)
    for _ in range(16):
        bucket.take()
    with pytest.raises(RateLimited):
        bucket.take()
