"""Reasons: each one is explained to people."""

from __future__ import annotations

from chalicelib.domain.reasons import EXPLANATIONS, Reason


def test_every_reason_has_an_explanation() -> None:
    assert set(EXPLANATIONS) == set(Reason)


def test_explanations_are_distinct_sentences() -> None:
    assert len(set(EXPLANATIONS.values())) == len(EXPLANATIONS)
    for reason, sentence in EXPLANATIONS.items():
        assert reason.value == reason.name
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert 20 < len(sentence) < 120
