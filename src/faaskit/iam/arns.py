"""
The ARNs that a Resource element may hold. Pure.

An ARN that IAM would refuse is refused here: it matches no resource, so a Deny with it would
never deny.

Sources: IAM User Guide, "Identify AWS resources with ARNs"; the resource types of the Service
Authorization Reference; the messages of IAM's
MalformedPolicyDocument ("must be fully qualified and cannot contain regexes", "failed legacy
parsing", "can not contain region information", "IAM resource path must …").
"""

from __future__ import annotations

from faaskit.iam.matching import compile_text

__all__ = ["reason_against_arn"]

_FIELDS = 6
_PARTITIONS = (
    "aws",
    "aws-cn",
    "aws-eusc",
    "aws-iso",
    "aws-iso-b",
    "aws-iso-e",
    "aws-iso-f",
    "aws-us-gov",
)
_IAM_PATHS = (
    "access-report/",
    "assumed-role/",
    "contextProvider/",
    "delegation-request/",
    "federated-user/",
    "group/",
    "instance-profile/",
    "mfa/",
    "oidc-provider/",
    "policy/",
    "report/",
    "role-template/",
    "role/",
    "saml-provider/",
    "server-certificate/",
    "sms-mfa/",
    "user/",
)
# Those of S3's resources that are in a region; buckets and objects are not.
_S3_REGIONAL = (
    "access-grants/",
    "accesspoint/",
    "async-request/",
    "job/",
    "storage-lens-group/",
    "storage-lens/",
)


def reason_against_arn(text: str) -> str | None:
    """Return in words why IAM takes no such Resource; None where it takes it."""
    if text == "*":
        return None
    prefix, *fields = text.split(":", _FIELDS - 1)
    if prefix != "arn" or not fields:
        return f"{text!r} is not a resource; write an ARN, such as 'arn:aws:s3:::uploads/*', or '*'"
    partition, *fields = fields
    if not any(compile_text(partition).matches(one) for one in _PARTITIONS):
        return f"{text!r} has the partition {partition!r}; write 'aws', one like 'aws-cn', or '*'"
    if not fields or not fields[0] or "*" in fields[0] or "?" in fields[0]:
        return f"{text!r} has no service in full; write it without wildcards, or '*' for everything"
    # The missing fields of a short ARN are filled with "*", but these services have no region.
    if len(fields) < _FIELDS - 2 and ("::" in text or fields[0] in {"iam", "s3"}):
        return f"{text!r} has too few colons; write six parts, such as 'arn:aws:s3:::uploads/*'"
    return _reason_against_fields(text, *fields)


def _reason_against_fields(
    text: str, service: str, region: str = "", account: str = "", resource: str = "*"
) -> str | None:
    if not resource:
        return f"{text!r} ends at the fifth colon; write the resource there, or '*' for all"
    if service == "s3" and region and not resource.startswith(_S3_REGIONAL):
        return f"{text!r} has a region, but buckets have none; write 'arn:aws:s3:::uploads/*'"
    if service == "iam" and region:
        return f"{text!r} has a region, but IAM has none; write 'arn:aws:iam::{account}:…'"
    whole = resource in {"*", "root"}  # the root user is what sts:AssumeRoot is about
    if service == "iam" and not whole and not resource.startswith(_IAM_PATHS):
        return f"{text!r} is not a resource of IAM; begin it with one of {' '.join(_IAM_PATHS)}"
    return None
