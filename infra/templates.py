"""The CloudFormation templates as data."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms as the mappings they stand for."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


def text(name: str) -> str:
    """The template `infra/<name>.yaml` as it is deployed."""
    return (FOLDER / f"{name}.yaml").read_text()


@lru_cache(maxsize=8)
def parsed(body: str) -> dict[str, Any]:
    """A template's mapping; short forms are written out."""
    document: dict[str, Any] = yaml.load(body, _Loader)
    return document


def declared(body: str) -> set[str]:
    """Names of a template's parameters."""
    return set(parsed(body).get("Parameters", {}))
