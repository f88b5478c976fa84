"""Create, update and delete one CloudFormation stack, from whatever state it was left in."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

WAIT_MAX_S = 30 * 60


class StackFailed(RuntimeError):
    """CloudFormation could not bring the stack to the wanted state."""


@dataclass(frozen=True)
class Stacks:
    cloudformation: Any
    poll_s: float
    report: Callable[[str], None]

    def status(self, name: str) -> str | None:
        """Status of the stack, None when there is none."""
        try:
            stacks = self.cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        live = [
            stack["StackStatus"] for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"
        ]
        return live[0] if live else None

    def parameters(self, name: str) -> dict[str, str]:
        """A stack's parameters; none when it does not exist."""
        return self._pairs(name, "Parameters", "Parameter")

    def outputs(self, name: str) -> dict[str, str]:
        """A stack's outputs; none when it does not exist."""
        return self._pairs(name, "Outputs", "Output")

    def _pairs(self, name: str, part: str, prefix: str) -> dict[str, str]:
        if self.status(name) is None:
            return {}
        (stack, *_) = self.cloudformation.describe_stacks(StackName=name)["Stacks"]
        return {str(row[f"{prefix}Key"]): str(row[f"{prefix}Value"]) for row in stack.get(part, [])}

    def body(self, name: str) -> str:
        """The template a stack was last given."""
        return str(self.cloudformation.get_template(StackName=name)["TemplateBody"])

    def put(self, name: str, template: str, parameters: Mapping[str, str]) -> None:
        """Create or update; a failed creation is removed first, since AWS cannot update it."""
        status = self._settled(name)
        if status in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}:
            self.report(f"  {name}: removing what a failed attempt left ({status})")
            self.delete(name)
            status = None
        if status == "UPDATE_ROLLBACK_FAILED":
            raise StackFailed(
                f"{name} is in UPDATE_ROLLBACK_FAILED; run "
                f"`aws cloudformation continue-update-rollback --stack-name {name}` first"
            )
        arguments = {
            "StackName": name,
            "TemplateBody": template,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
            ],
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
        }
        if status is None:
            self.report(f"  {name}: creating")
            self.cloudformation.create_stack(**arguments)
        else:
            self.report(f"  {name}: updating")
            try:
                self.cloudformation.update_stack(**arguments)
            except ClientError as error:
                if "No updates are to be performed" in str(error):
                    self.report(f"  {name}: unchanged")
                    return
                raise
        ended = self._settled(name)
        if ended not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
            raise StackFailed(f"{name} ended as {ended}: {self._first_reason(name)}")

    def delete(self, name: str) -> None:
        if self._settled(name) is None:
            return
        self.report(f"  {name}: deleting")
        self.cloudformation.delete_stack(StackName=name)
        ended = self._settled(name)
        if ended is not None:
            raise StackFailed(f"{name} ended as {ended}: {self._first_reason(name)}")

    def _settled(self, name: str) -> str | None:
        give_up_at = time.monotonic() + WAIT_MAX_S
        while (status := self.status(name)) is not None and status.endswith("_IN_PROGRESS"):
            if time.monotonic() > give_up_at:
                raise StackFailed(f"{name} is still {status} after {WAIT_MAX_S // 60} minutes")
            time.sleep(self.poll_s)
        return status

    def _first_reason(self, name: str) -> str:
        events = self.cloudformation.describe_stack_events(StackName=name)["StackEvents"]
        reasons = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}"
            for event in events
            if event["ResourceStatus"].endswith("_FAILED")
        ]
        # Events come newest first, and the oldest failure is the cause of the others.
        return reasons[-1] if reasons else "no reason recorded"
