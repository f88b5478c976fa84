"""Render the copy workflow for a stage."""

import json

from infra.functions import APP_NAME

PARAMETER_BYTES_MAX = 4096


class WorkflowInvalid(RuntimeError):
    """The workflow definition cannot be deployed as it is."""


def render_workflow(asl: str, stage: str, region: str, account: str) -> str:
    """Finished, minified ASL; it travels as a stack parameter and those are limited in size."""
    queue_host = f"https://sqs.{region}.amazonaws.com"
    names = {
        "AdvanceFunctionArn": (
            f"arn:aws:lambda:{region}:{account}:function:{APP_NAME}-{stage}-advance"
        ),
        "FailuresQueueUrl": f"{queue_host}/{account}/{APP_NAME}-{stage}-failures",
    }
    for name, value in names.items():
        asl = asl.replace("${" + name + "}", value)
    rendered = json.dumps(json.loads(asl), separators=(",", ":"))
    if "${" in rendered:
        raise WorkflowInvalid("The workflow definition has a substitution that nothing fills")
    if len(rendered.encode()) > PARAMETER_BYTES_MAX:
        raise WorkflowInvalid(f"The workflow definition exceeds {PARAMETER_BYTES_MAX} bytes")
    return rendered
