"""What moto's CloudFormation does not know of the edge stack: just enough to come and to go."""

from typing import Any, Self

from moto.cloudformation import parsing
from moto.cloudfront.models import cloudfront_backends
from moto.core.common_models import CloudFormationModel


class _Named:
    """A resource that has a name and does nothing else."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def physical_resource_id(self) -> str:
        return self.name

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr == "Id"

    def get_cfn_attribute(self, _attribute_name: str) -> str:
        return self.name

    def is_created(self) -> bool:
        return True

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, _json: Any, _account: str, _region: str, **_: Any
    ) -> Self:
        return cls(resource_name)

    @classmethod
    def update_from_cloudformation_json(
        cls, original_resource: Self, _name: str, _json: Any, _account: str, _region: str
    ) -> Self:
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls, _name: str, _json: Any, _account: str, _region: str
    ) -> None:
        return None


class OriginAccess(_Named, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::CloudFront::OriginAccessControl"


class HeadersPolicy(_Named, CloudFormationModel):
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::CloudFront::ResponseHeadersPolicy"


class BucketPolicy(_Named, CloudFormationModel):
    # moto would apply the denial without its condition, and so to everything.
    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::S3::BucketPolicy"


class Distribution(_Named, CloudFormationModel):
    """A distribution in moto's own CloudFront, with as much of its configuration as that reads."""

    def __init__(self, name: str, domain: str) -> None:
        super().__init__(name)
        self.domain = domain

    @staticmethod
    def cloudformation_type() -> str:
        return "AWS::CloudFront::Distribution"

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in {"Id", "DomainName"}

    def get_cfn_attribute(self, attribute_name: str) -> str:
        return self.domain if attribute_name == "DomainName" else self.name

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, json: Any, account: str, _region: str, **_: Any
    ) -> Self:
        wanted = json["Properties"]["DistributionConfig"]
        origins = [
            {
                "Id": one["Id"],
                "DomainName": one["DomainName"],
                "S3OriginConfig": {"OriginAccessIdentity": ""},
            }
            for one in wanted["Origins"]
        ]
        config = {
            "CallerReference": resource_name,
            "Enabled": wanted["Enabled"],
            "Comment": wanted["Comment"],
            "Origins": {"Items": origins},
            "DefaultCacheBehavior": {
                "TargetOriginId": wanted["DefaultCacheBehavior"]["TargetOriginId"],
                "ViewerProtocolPolicy": wanted["DefaultCacheBehavior"]["ViewerProtocolPolicy"],
            },
        }
        made, _location, _tag = cloudfront_backends[account]["aws"].create_distribution(config, [])
        return cls(made.distribution_id, made.domain_name)

    @classmethod
    def delete_from_cloudformation_json(
        cls, name: str, _json: Any, account: str, _region: str
    ) -> None:
        cloudfront_backends[account]["aws"].delete_distribution(name, if_match=True)


def know_the_edge() -> None:
    """Have moto look again for models; it remembers what it found first."""
    for cached in (parsing.get_model_list, parsing.get_model_map, parsing.get_name_type_map):
        cached.cache_clear()
