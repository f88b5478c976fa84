"""The one table of Lambda functions: what each is given and what each may do.

`.chalice/config.json` and the policy files are rendered from it (see `infra.chalice_files`),
because Chalice substitutes nothing in policy files and a wildcard over stages would let one
stage write into another.
"""

from dataclasses import dataclass, field

APP_NAME = "papercopy"

_READ = ("dynamodb:GetItem", "dynamodb:Query")
_WRITE = (
    *_READ,
    "dynamodb:PutItem",
    "dynamodb:DeleteItem",
    "dynamodb:ConditionCheckItem",
)


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
    return Grant("dynamodb", actions, (f"table/{APP_NAME}-{{stage}}-{name}",))


def _lists(*tables: str) -> tuple[Grant, ...]:
    """Reads the feed of a table: keys from the index, then the rows together."""
    index = tuple(f"table/{APP_NAME}-{{stage}}-{name}/index/feed" for name in tables)
    rows = tuple(_table(name, ("dynamodb:BatchGetItem",)) for name in tables)
    return (Grant("dynamodb", ("dynamodb:Query",), index), *rows)


def _reads(*tables: str) -> tuple[Grant, ...]:
    return tuple(_table(name, _READ) for name in tables)


def _adds(*tables: str) -> tuple[Grant, ...]:
    return tuple(_table(name, (*_READ, "dynamodb:PutItem")) for name in tables)


def _changes(*tables: str) -> tuple[Grant, ...]:
    return tuple(
        _table(name, (*_READ, "dynamodb:PutItem", "dynamodb:DeleteItem")) for name in tables
    )


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
_READS_NODE_ADDRESS = Grant(
    "ssm", ("ssm:GetParameters",), (f"parameter/{APP_NAME}/{{stage}}/node/polygon_http_url",)
)
_READS_SIGN_IN = Grant("ssm", ("ssm:GetParameters",), (f"parameter/{APP_NAME}/{{stage}}/auth/*",))
_READS_ADMIN_TOKEN = Grant(
    "ssm", ("ssm:GetParameters",), (f"parameter/{APP_NAME}/{{stage}}/admin/*",)
)
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
            *_lists("activity", "portfolio"),
            _table("registry", (*_READ, "dynamodb:PutItem")),
            _table("activity", (*_READ, "dynamodb:PutItem")),
            _table("portfolio", (*_READ, "dynamodb:PutItem")),
            _table("audit", ("dynamodb:PutItem", "dynamodb:Query")),
            _DESCRIBES_TABLES,
            _STARTS_CONFIG_TEST,
            # Dead letters are handed in again.
            _sends("failures", "fills.fifo", "polls"),
            Grant(
                "sqs",
                ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"),
                tuple(
                    f"{APP_NAME}-{{stage}}-{queue}"
                    for queue in ("fills-dead.fifo", "polls-dead", "failures")
                ),
            ),
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
            *_changes("activity", "portfolio"),
            _consumes("fills.fifo"),
            _sends("failures"),
            _READS_NODE_ADDRESS,
            _STARTS_COPY_TRADE,
        ),
    ),
    Function(
        "poll",
        memory_mb=512,
        timeout_s=50,
        # Portfolio: between two minutes it marks what is held and looks at what follows from that.
        grants=(
            *_changes("registry"),
            *_adds("activity", "portfolio"),
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
            *_adds("registry", "activity"),
            *_writes("portfolio"),
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
            *_lists("activity", "portfolio"),
            _table("registry", (*_READ, "dynamodb:PutItem", "dynamodb:ConditionCheckItem")),
            *_writes("activity", "portfolio"),
            _sends("polls", "failures"),
            _READS_NODE_ADDRESS,
            _STARTS_COPY_TRADE,
        ),
    ),
    Function(
        "sync_markets",
        memory_mb=512,
        timeout_s=300,
        grants=(
            _table("registry", (*_READ, "dynamodb:PutItem", "dynamodb:DeleteItem")),
            _sends("failures"),
        ),
    ),
    Function(
        "mark_portfolios",
        memory_mb=512,
        timeout_s=55,
        grants=(
            *_lists("portfolio"),
            *_adds("registry", "portfolio", "activity"),
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
            *_lists("activity", "portfolio"),
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
