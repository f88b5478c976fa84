"""The HTTP client against a local host; time is faked, so nothing waits."""

from decimal import Decimal

import pytest
from venue_fakes import CountingMetrics, FakeTime, Reply, http_host

from chalicelib.adapters.polymarket.http import HttpClient, HttpPolicy, NotFound, retry_after_ms
from chalicelib.adapters.polymarket.throttle import CircuitBreaker, TokenBucket
from chalicelib.domain.errors import Permanent, RateLimited, Retryable


def client(base: str, time: FakeTime, metrics: CountingMetrics, **options: object) -> HttpClient:
    return HttpClient(
        base,
        metrics,
        name="data",
        bucket=TokenBucket(100, 100, now=time.now, sleep=time.sleep),
        now=time.now,
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
    [("3", 3_000), ("99999", 60_000), ("soon", None), (None, None), ("²", None), ("-1", None)],
)
def test_retry_after(text: str | None, expected: int | None) -> None:
    assert retry_after_ms(text) == expected


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


def test_the_bucket_refuses_a_queue_that_is_too_long() -> None:
    stuck = FakeTime()
    bucket = TokenBucket(1, 1, now=stuck.now, sleep=lambda _: None)
    for _ in range(16):
        bucket.take()
    with pytest.raises(RateLimited):
        bucket.take()
