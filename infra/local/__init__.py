"""The aws engine: production stacks and functions inside a moto server of this process."""

from infra.local.engine import AwsEngine, NotIdle
from infra.local.isolation import NotLocal

__all__ = ["AwsEngine", "NotIdle", "NotLocal"]
