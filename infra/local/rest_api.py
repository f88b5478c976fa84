"""Let moto import the REST API document that Chalice generates."""

import copy
from typing import Any

from moto.apigateway.models import APIGatewayBackend, RestAPI

from infra.local.patching import Patches


def as_openapi_3(document: dict[str, Any]) -> dict[str, Any]:
    """moto wants OpenAPI 3 with a description and cannot build the mock integrations of CORS."""
    adapted = copy.deepcopy(document)
    adapted.pop("swagger", None)
    adapted["openapi"] = "3.0.1"
    adapted["info"].setdefault("description", "")
    for operations in adapted["paths"].values():
        operations.pop("options", None)
    return adapted


def patch_api_gateway(patches: Patches) -> None:
    import_rest_api = APIGatewayBackend.import_rest_api
    put_rest_api = APIGatewayBackend.put_rest_api

    def import_adapted(
        backend: APIGatewayBackend, api_doc: dict[str, Any], fail_on_warnings: bool
    ) -> RestAPI:
        return import_rest_api(backend, as_openapi_3(api_doc), fail_on_warnings)

    def put_adapted(
        backend: APIGatewayBackend,
        function_id: str,
        api_doc: dict[str, Any],
        fail_on_warnings: bool,
        mode: str = "merge",
    ) -> RestAPI:
        return put_rest_api(backend, function_id, as_openapi_3(api_doc), fail_on_warnings, mode)

    patches.replace(APIGatewayBackend, "import_rest_api", import_adapted)
    patches.replace(APIGatewayBackend, "put_rest_api", put_adapted)
