"""Fill one gap of moto's CloudFormation: it forgets to delete route tables, and so their VPC."""

from typing import Any

from moto.ec2.models import ec2_backends
from moto.ec2.models.route_tables import RouteTable

from infra.local.patching import Patches


def patch_cloudformation(patches: Patches) -> None:
    def delete_from_cloudformation_json(
        _cls: type[RouteTable],
        resource_name: str,
        _cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
    ) -> None:
        backend = ec2_backends[account_id][region_name]
        backend.get_route_table(resource_name).associations.clear()
        backend.delete_route_table(resource_name)

    patches.replace(
        RouteTable, "delete_from_cloudformation_json", classmethod(delete_from_cloudformation_json)
    )
