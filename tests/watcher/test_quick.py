"""Values that are made quickly are no others."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, fields

import pytest

from chalicelib.domain.evidence import ChainEvidence, FillMessage
from chalicelib.domain.trade import ChainLeg
from chalicelib.watcher.quick import quick


@dataclass(frozen=True, slots=True)
class Careful:
    name: str

    def __post_init__(self) -> None:
        raise ValueError


@pytest.mark.parametrize("kind", [ChainLeg, ChainEvidence, FillMessage])
def test_a_value_made_quickly_is_like_any_other(kind: type) -> None:
    values = [f"value {number}" for number in range(len(fields(kind)))]
    made, usual = quick(kind)(*values), kind(*values)
    assert type(made) is kind
    assert (made, hash(made), repr(made)) == (usual, hash(usual), repr(usual))
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == usual
    with pytest.raises(FrozenInstanceError):
        setattr(made, fields(kind)[0].name, "other")


def test_every_field_has_to_be_given() -> None:
    make = quick(ChainEvidence)
    with pytest.raises(TypeError):
        make("tx", "token", "BUY", None)


def test_a_class_with_more_to_do_is_refused() -> None:
    with pytest.raises(TypeError, match="Careful"):
        quick(Careful)
