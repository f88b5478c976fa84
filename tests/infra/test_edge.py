"""What stands between browsers and the API, and how the watcher reaches the world, by template."""

from __future__ import annotations

import json
from typing import Any

from infra import templates
from infra.chalice_files import chalice_config
from infra.functions import FUNCTIONS, policy
from infra.local.http_server import GUARDS
from infra.plan import CONCURRENCY_WANTED, concurrency_lines, merged

ALL_VIEWER_EXCEPT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"


def resources(template: str) -> dict[str, Any]:
    found: dict[str, Any] = templates.parsed(templates.text(template))["Resources"]
    return found


def edge() -> dict[str, Any]:
    found: dict[str, Any] = resources("edge")["Edge"]["Properties"]["DistributionConfig"]
    return found


def test_the_api_is_passed_on_whole_and_never_cached() -> None:
    (api,) = edge()["CacheBehaviors"]
    assert api["PathPattern"] == "api/*"
    assert set(api["AllowedMethods"]) >= {"GET", "HEAD", "POST", "PUT", "DELETE"}
    assert api["CachePolicyId"] == CACHING_DISABLED
    assert api["OriginRequestPolicyId"] == ALL_VIEWER_EXCEPT_HOST
    assert api["ViewerProtocolPolicy"] == "https-only"
    (origin,) = (one for one in edge()["Origins"] if one["Id"] == api["TargetOriginId"])
    # Chalice's stage is named like the path, so that `/api/x` is `/x` of the API.
    stage = chalice_config("dev", {})["stages"]["dev"]["api_gateway_stage"]  # type: ignore[index]
    assert "OriginPath" not in origin and f"{stage}/*" == api["PathPattern"]
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"


def test_the_dashboards_bucket_is_private_and_read_by_this_edge_alone() -> None:
    site = resources("edge")["Site"]["Properties"]
    assert set(site["PublicAccessBlockConfiguration"].values()) == {True}
    assert "BucketEncryption" in site
    allow, deny = resources("edge")["SitePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert allow["Action"] == "s3:GetObject"
    assert allow["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert "distribution/${Edge}" in json.dumps(allow["Condition"])
    assert deny["Effect"] == "Deny" and deny["Condition"] == {
        "Bool": {"aws:SecureTransport": "false"}
    }
    assert set(edge()["DefaultCacheBehavior"]["AllowedMethods"]) == {"GET", "HEAD"}


def test_the_edge_guards_answers_as_the_local_server_does() -> None:
    policy = resources("edge")["Guards"]["Properties"]["ResponseHeadersPolicyConfig"]
    security = policy["SecurityHeadersConfig"]
    custom = {row["Header"]: row["Value"] for row in policy["CustomHeadersConfig"]["Items"]}
    sent = {
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": security["FrameOptions"]["FrameOption"],
        "Referrer-Policy": security["ReferrerPolicy"]["ReferrerPolicy"],
        "Content-Security-Policy": security["ContentSecurityPolicy"]["ContentSecurityPolicy"],
        **custom,
    }
    assert sent == {name: value for name, value in GUARDS.items() if name != "Cache-Control"}
    assert "ContentTypeOptions" in security and "StrictTransportSecurity" in security
    for behaviour in (edge()["DefaultCacheBehavior"], *edge()["CacheBehaviors"]):
        assert behaviour["ResponseHeadersPolicyId"] == {"Ref": "Guards"}


def test_mappings_bound_concurrency_and_nothing_reserves_it() -> None:
    mappings = [
        one["Properties"]
        for one in resources("app").values()
        if one["Type"] == "AWS::Lambda::EventSourceMapping"
    ]
    assert len(mappings) == 2
    assert all("MaximumConcurrency" in one["ScalingConfig"] for one in mappings)
    everything = templates.text("app") + templates.text("base")
    assert "ReservedConcurrent" not in everything
    assert "reserved_concurrency" not in json.dumps(chalice_config("dev", {}))


def test_the_watcher_reaches_out_over_either_protocol_and_nobody_reaches_in() -> None:
    app = resources("app")
    group = app["WatcherSecurityGroup"]["Properties"]
    assert "SecurityGroupIngress" not in group
    assert {(row["FromPort"], row["ToPort"]) for row in group["SecurityGroupEgress"]} == {
        (443, 443)
    }
    assert {
        next(k for k in row if k.startswith("Cidr")) for row in group["SecurityGroupEgress"]
    } == {
        "CidrIp",
        "CidrIpv6",
    }
    service = app["WatcherService"]["Properties"]
    assert service["CapacityProviderStrategy"] == [
        {"CapacityProvider": {"Ref": "WatcherCapacity"}, "Weight": 1}
    ]
    network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == {"Fn::If": ["IsIpv6Only", "DISABLED", "ENABLED"]}
    for letter in "AB":
        subnet = app[f"WatcherSubnet{letter}"]["Properties"]
        assert subnet["Ipv6Native"] == {"Fn::If": ["IsIpv6Only", True, {"Ref": "AWS::NoValue"}]}


def test_only_the_sign_in_reads_its_secrets_and_only_who_asks_the_node_its_address() -> None:
    readers: dict[str, set[str]] = {}
    for function in FUNCTIONS:
        for statement in policy(function, "dev")["Statement"]:  # type: ignore[attr-defined]
            if any(action.startswith("ssm:") for action in statement["Action"]):
                for resource in statement["Resource"]:
                    tail = resource.split("parameter/papercopy/dev/")[1]
                    readers.setdefault(tail, set()).add(function.name)
    assert readers == {
        "auth/*": {"api_handler"},
        "admin/*": {"api_handler"},
        "node/polygon_http_url": {"ingest", "sweep"},
    }


def test_a_small_account_is_told_what_to_ask_for() -> None:
    (enough,) = concurrency_lines(lambda: CONCURRENCY_WANTED)
    assert str(CONCURRENCY_WANTED) in enough
    short = "\n".join(concurrency_lines(lambda: 10))
    assert "at most 10" in short and "request-service-quota-increase" in short
    assert "not tell" in concurrency_lines(lambda: None)[0]


def test_what_was_only_a_default_follows_the_new_template() -> None:
    before = "Parameters: {A: {Type: String, Default: '1'}, B: {Type: String, Default: '1'}}"
    after = "Parameters: {A: {Type: String, Default: '2'}, B: {Type: String}, C: {Type: String}}"
    values = {"A": "1", "B": "7", "Gone": "x"}
    assert merged(after, {}, values, before) == {"B": "7"}
    assert merged(after, {"C": "3", "B": "8", "D": "y"}, values, before) == {"B": "8", "C": "3"}
