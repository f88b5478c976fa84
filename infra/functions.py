"""The one table of Lambda functions: what each is given and what each may do.

`.chalice/config.json` and the policy files are rendered from it (see `infra.chalice_files`),
because Chalice substitutes nothing in policy files and a wildcard over stages would let one
stage write into another.
"""

from dataclasses import dataclass, field

APP_NAME = "papercopy"

_READ = ("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query")
_WRITE = (
    *_READ,
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:DeleteItem",
    "dynamodb:ConditionCheckItem",
)
_APPEND = ("dynamodb:PutItem", "dynamodb:ConditionCheckItem")
_INDEXED_TABLES = frozenset({"activity", "portfolio"})


@dataclass(frozen=True)
class Grant:
    """Actions on resources; resources are ARN tails behind `arn:aws:<service>:*:*:`."""

    service: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True)
class Function:
    name: str
    memory_mb: int
    timeout_s: int
    grants: tuple[Grant, ...] = field(default_factory=tuple)

    def deployed_name(self, stage: str) -> str:
        if self.name == "api_handler":
            return f"{APP_NAME}-{stage}"
        return f"{APP_NAME}-{stage}-{self.name}"


def _table(name: str, actions: tuple[str, ...]) -> Grant:
    resources = [f"table/{APP_NAME}-{{stage}}-{name}"]
    if name in _INDEXED_TABLES and "dynamodb:Query" in actions:
        resources.append(f"table/{APP_NAME}-{{stage}}-{name}/index/feed")
    return Grant("dynamodb", actions, tuple(resources))


def _reads(*tables: str) -> tuple[Grant, ...]:
    return tuple(_table(name, _READ) for name in tables)


def _writes(*tables: str) -> tuple[Grant, ...]:
    return tuple(_table(name, _WRITE) for name in tables)


def _sends(*queues: str) -> Grant:
    return Grant(
        "sqs",
        ("sqs:SendMessage", "sqs:GetQueueUrl"),
        tuple(f"{APP_NAME}-{{stage}}-{queue}" for queue in queues),
    )


def _consumes(queue: str) -> Grant:
    return Grant(
        "sqs",
        ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
        (f"{APP_NAME}-{{stage}}-{queue}",),
    )


_STARTS_COPY_TRADE = Grant(
    "states", ("states:StartExecution",), (f"stateMachine:{APP_NAME}-{{stage}}-copy-trade",)
)
_READS_PARAMETERS = Grant(
    "ssm",
    ("ssm:GetParameter", "ssm:GetParameters"),
    (f"parameter/{APP_NAME}/{{stage}}/*",),
)
_READS_SIGN_IN = Grant("ssm", ("ssm:GetParameters",), (f"parameter/{APP_NAME}/{{stage}}/auth/*",))
_READS_ADMIN_TOKEN = Grant(
    "ssm", ("ssm:GetParameters",), (f"parameter/{APP_NAME}/{{stage}}/admin/*",)
)
_APPENDS_AUDIT = _table("audit", _APPEND)
_DESCRIBES_TABLES = Grant(
    "dynamodb",
    ("dynamodb:DescribeTable",),
    tuple(
        f"table/{APP_NAME}-{{stage}}-{name}"
        for name in ("registry", "activity", "portfolio", "audit")
    ),
)
_STARTS_CONFIG_TEST = Grant(
    "lambda", ("lambda:InvokeFunction",), (f"function:{APP_NAME}-{{stage}}-config_test",)
)

FUNCTIONS: tuple[Function, ...] = (
    Function(
        "api_handler",
        memory_mb=512,
        timeout_s=29,
        # Registry: settings that were refused are reported by whoever met them.
        # Activity: sessions that were ended are remembered until they expire; tests of
        # configurations that were asked for.
        # Portfolio: a reset closes an epoch's head and opens the next one; following opens
        # portfolios, pausing changes them.
        grants=(
            _table("registry", (*_READ, "dynamodb:PutItem")),
            _table("activity", (*_READ, "dynamodb:PutItem")),
            _table("portfolio", (*_READ, "dynamodb:PutItem")),
            _table("audit", ("dynamodb:PutItem", "dynamodb:Query")),
            _DESCRIBES_TABLES,
            _STARTS_CONFIG_TEST,
            _sends("failures"),
            _READS_SIGN_IN,
            _READS_ADMIN_TOKEN,
            Grant(
                "sqs",
                ("sqs:GetQueueAttributes", "sqs:GetQueueUrl"),
                (f"{APP_NAME}-{{stage}}-*",),
            ),
        ),
    ),
    Function(
        "ingest",
        memory_mb=512,
        timeout_s=50,
        # Registry: settings that were refused are reported by whoever met them; an event's market
        # is stored, and the shadow requires the leader's row to be what was read.
        grants=(
            _table("registry", (*_READ, "dynamodb:PutItem", "dynamodb:ConditionCheckItem")),
            *_writes("activity", "portfolio"),
            _APPENDS_AUDIT,
            _consumes("fills.fifo"),
            _sends("failures"),
            _STARTS_COPY_TRADE,
        ),
    ),
    Function(
        "poll",
        memory_mb=512,
        timeout_s=50,
        # Portfolio: between two minutes it marks what is held and looks at what follows from that.
        grants=(
            *_writes("registry", "activity"),
            _table("portfolio", (*_READ, "dynamodb:PutItem")),
            _consumes("polls"),
            _sends("fills.fifo", "polls", "failures"),
            _STARTS_COPY_TRADE,
        ),
    ),
    Function(
        "advance",
        memory_mb=512,
        timeout_s=50,
        # Registry: a market seen for the first time is stored by whoever needs it.
        grants=(
            *_writes("registry", "activity", "portfolio"),
            _APPENDS_AUDIT,
            _sends("polls", "failures"),
        ),
    ),
    Function(
        "config_test",
        memory_mb=1769,
        timeout_s=600,
        # Activity: the result. Registry: settings that were refused are reported by whoever met
        # them. A replay itself writes to memory alone.
        grants=(
            _table("registry", (*_READ, "dynamodb:PutItem")),
            _table("activity", (*_READ, "dynamodb:PutItem")),
            *_reads("portfolio"),
            _sends("failures"),
        ),
    ),
    Function(
        "poll_tick",
        memory_mb=256,
        timeout_s=30,
        # Registry: settings that were refused are reported by whoever met them.
        grants=(
            _table("registry", (*_READ, "dynamodb:PutItem")),
            _sends("polls", "failures"),
        ),
    ),
    Function(
        "sweep",
        memory_mb=512,
        timeout_s=55,
        grants=(
            *_writes("registry", "activity", "portfolio"),
            _APPENDS_AUDIT,
            _sends("polls", "failures"),
            _READS_PARAMETERS,
            _STARTS_COPY_TRADE,
        ),
    ),
    Function(
        "sync_markets",
        memory_mb=512,
        timeout_s=300,
        grants=(
            *_writes("registry", "portfolio"),
            *_reads("activity"),
            _APPENDS_AUDIT,
            _sends("failures"),
        ),
    ),
    Function(
        "mark_portfolios",
        memory_mb=512,
        timeout_s=55,
        grants=(
            *_writes("registry", "portfolio"),
            _table("activity", (*_READ, "dynamodb:PutItem")),
            _sends("polls", "failures"),
            _STARTS_COPY_TRADE,
        ),
    ),
    Function(
        "measure",
        memory_mb=512,
        timeout_s=240,
        # Registry: settings that were refused are reported by whoever met them; how far a ledger
        # was checked is kept until the check ends. Activity and portfolio: looks back at attempts.
        grants=(
            _table("registry", (*_READ, "dynamodb:PutItem", "dynamodb:DeleteItem")),
            _table("activity", (*_READ, "dynamodb:PutItem", "dynamodb:DeleteItem")),
            _table("portfolio", (*_READ, "dynamodb:PutItem")),
            _sends("fills.fifo", "failures"),
        ),
    ),
)


def policy(function: Function, stage: str) -> dict[str, object]:
    """IAM policy document of one function on one stage, log writing included."""
    log_group = f"/aws/lambda/{function.deployed_name(stage)}"
    statements: list[dict[str, object]] = [
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": [f"arn:aws:logs:*:*:log-group:{log_group}:*"],
        }
    ]
    for grant in function.grants:
        resources = [
            f"arn:aws:{grant.service}:*:*:{tail.format(stage=stage)}" for tail in grant.resources
        ]
        statements.append(
            {"Effect": "Allow", "Action": sorted(grant.actions), "Resource": sorted(resources)}
        )
    return {"Version": "2012-10-17", "Statement": statements}
