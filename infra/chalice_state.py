"""What Chalice deployed to a stage, read back from AWS instead of from a file.

Chalice keeps ids in `.chalice/deployed/<stage>.json` and writes it only after a complete
deployment. Whoever deploys from another machine, or after a failure in the middle, would create
the REST API a second time. Names are explicit per stage, so AWS itself can tell.
"""

import json
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from infra.functions import APP_NAME

API_RESOURCE = "rest_api"
API_FUNCTION = "api_handler"
_GONE = {"ResourceNotFoundException", "NoSuchEntity", "NotFoundException"}


class ChaliceState:
    def __init__(self, session: Any, stage: str, endpoint_url: str | None) -> None:
        self._prefix = f"{APP_NAME}-{stage}"
        self._stage = stage
        self._functions = session.client("lambda", endpoint_url=endpoint_url)
        self._apis = session.client("apigateway", endpoint_url=endpoint_url)
        self._events = session.client("events", endpoint_url=endpoint_url)
        self._iam = session.client("iam", endpoint_url=endpoint_url)

    def function_arns(self) -> dict[str, str]:
        """Deployed functions of this stage by Chalice's name for them."""
        found = {}
        for page in self._functions.get_paginator("list_functions").paginate():
            for function in page["Functions"]:
                name = function["FunctionName"]
                if name == self._prefix:
                    found[API_FUNCTION] = function["FunctionArn"]
                elif name.startswith(f"{self._prefix}-"):
                    found[name.removeprefix(f"{self._prefix}-")] = function["FunctionArn"]
        return found

    def rest_api_ids(self) -> list[str]:
        """REST APIs whose methods call this stage's handler; titles are the same on all stages."""
        called = f":function:{self._prefix}/"
        found: list[str] = []
        for page in self._apis.get_paginator("get_rest_apis").paginate():
            ids = [api["id"] for api in page["items"] if api["name"] == APP_NAME]
            found += [api_id for api_id in ids if called in self._integrations(api_id)]
        return found

    def _integrations(self, api_id: str) -> str:
        resources = self._apis.get_resources(restApiId=api_id, embed=["methods"], limit=500)
        return json.dumps(resources["items"], default=str)

    def rule_names(self) -> list[str]:
        rules: list[str] = []
        for page in self._events.get_paginator("list_rules").paginate(
            NamePrefix=f"{self._prefix}-"
        ):
            rules += [rule["Name"] for rule in page["Rules"]]
        return [name for name in rules if name.endswith("-event")]

    def role_names(self, functions: set[str]) -> list[str]:
        wanted = {f"{self._prefix}-{name}" for name in functions}
        found = []
        for page in self._iam.get_paginator("list_roles").paginate():
            found += [role["RoleName"] for role in page["Roles"] if role["RoleName"] in wanted]
        return found

    def write(self, chalice_directory: Path) -> None:
        """Write the file that Chalice would have kept, from what exists."""
        resources: list[dict[str, str]] = []
        arns = self.function_arns()
        for name, arn in arns.items():
            resources.append({"name": name, "resource_type": "lambda_function", "lambda_arn": arn})
        for rule in self.rule_names():
            function = rule.removeprefix(f"{self._prefix}-").removesuffix("-event")
            resources.append(
                {
                    "name": f"{function}-event",
                    "resource_type": "cloudwatch_event",
                    "rule_name": rule,
                }
            )
        for role in self.role_names(set(arns)):
            arn = self._iam.get_role(RoleName=role)["Role"]["Arn"]
            name = role.removeprefix(f"{self._prefix}-")
            resources.append(
                {
                    "name": f"{name}_role",
                    "resource_type": "iam_role",
                    "role_name": role,
                    "role_arn": arn,
                }
            )
        resources += [
            {"name": API_RESOURCE, "resource_type": "rest_api", "rest_api_id": api_id}
            for api_id in self.rest_api_ids()[:1]
        ]
        deployed = chalice_directory / "deployed"
        deployed.mkdir(parents=True, exist_ok=True)
        document = {"resources": resources, "schema_version": "2.0", "backend": "api"}
        (deployed / f"{self._stage}.json").write_text(json.dumps(document, indent=2))

    def delete_all(self, known_functions: set[str]) -> None:
        """Remove everything Chalice made for the stage, complete or not."""
        for rule in self.rule_names():
            targets = self._events.list_targets_by_rule(Rule=rule)["Targets"]
            if targets:
                self._events.remove_targets(Rule=rule, Ids=[target["Id"] for target in targets])
            self._events.delete_rule(Name=rule)
        for api_id in self.rest_api_ids():
            self._ignoring_gone(self._apis.delete_rest_api, restApiId=api_id)
        functions = self.function_arns()
        for arn in functions.values():
            self._ignoring_gone(self._functions.delete_function, FunctionName=arn)
        for role in self.role_names(known_functions | set(functions)):
            for policy in self._iam.list_role_policies(RoleName=role)["PolicyNames"]:
                self._iam.delete_role_policy(RoleName=role, PolicyName=policy)
            self._ignoring_gone(self._iam.delete_role, RoleName=role)

    @staticmethod
    def _ignoring_gone(call: Any, **arguments: str) -> None:
        try:
            call(**arguments)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _GONE:
                raise
