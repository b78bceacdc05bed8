"""
IAM's rules once more, written to be read and not to be fast: the oracle of the properties.

It takes documents as AWS writes them and imports nothing of faaskit. Where the library
compiles, this one interprets; where the library has three truth values, this one carries
the *set* of the outcomes that are possible: an Allow must be certain, a Deny need only be
possible.
"""

from __future__ import annotations

import base64
import ipaddress
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from itertools import product
from typing import Any

YES, NO = frozenset({True}), frozenset({False})
EITHER = YES | NO
Outcomes = frozenset[bool]

# One character of a pattern: itself ("is" as written, "value" from a variable), or a wildcard
# (those "within" never match a colon). A tuple, so that "*" can be both.
Atom = tuple[str, str]
UNDEFINED = ("undefined", "")


def glob(pattern: list[Atom], text: str) -> bool:
    """Whether a pattern matches, by the definition: try every way, remember each once."""
    tried: dict[tuple[int, int], bool] = {}

    def match(at: int, position: int) -> bool:
        if (at, position) not in tried:
            tried[at, position] = find(at, position)
        return tried[at, position]

    def find(at: int, position: int) -> bool:
        if at == len(pattern):
            return position == len(text)
        kind, character = pattern[at]
        colon = text[position : position + 1] == ":"
        if kind in {"any", "any within"}:
            more = position < len(text) and not (colon and kind == "any within")
            return match(at + 1, position) or (more and match(at, position + 1))
        if position == len(text) or (colon and kind == "one within"):
            return False
        return (kind in {"one", "one within"} or text[position] == character) and match(
            at + 1, position + 1
        )

    return match(0, 0)


def literal(text: str) -> list[Atom]:
    """Return a text in which nothing is a wildcard."""
    return [("is", character) for character in text]


def expand(text: str, context: dict[str, Any], *, variables: bool) -> list[Atom]:
    """Return a text of a policy character by character; UNDEFINED where a value is missing."""
    atoms: list[Atom] = []
    while text:
        if variables and text.startswith("${"):
            inside, text = text[2:].split("}", 1)
            if inside in {"*", "?", "$"}:
                atoms += literal(inside)
                continue
            name, comma, default = inside.partition(",")
            value = context.get(name.lower())
            if value is None and comma:
                value = [default.strip()[1:-1]]
            single = value[0] if value is not None and len(value) == 1 else None
            atoms += [UNDEFINED] if single is None else [("value", one) for one in single]
        else:
            kinds = {"*": "any", "?": "one"}
            atoms.append((kinds.get(text[0], "is"), text[0]))
            text = text[1:]
    return atoms


def spelled(atoms: list[Atom]) -> str:
    """Return the characters as they are written."""
    return "".join(character for _, character in atoms)


def as_list(value: Any) -> list[Any]:
    """Return what may be one or several as several."""
    return list(value) if isinstance(value, list | tuple | set | frozenset) else [value]


def as_text(value: Any) -> str:
    """Return a value as IAM's text."""
    if isinstance(value, bool):
        return str(value).lower()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def read_request_context(context: dict[str, Any] | None) -> dict[str, list[str]]:
    """Return the values of each key; a key without any is not there."""
    read = {}
    for key, value in (context or {}).items():
        values = [as_text(one) for one in as_list(value) if one is not None]
        if values:
            read[key.lower()] = values
    return read


# --- conditions ---


def any_of(outcomes: list[Outcomes]) -> Outcomes:
    """Return what a disjunction can be."""
    return frozenset(any(world) for world in product(*outcomes))


def all_of(outcomes: list[Outcomes]) -> Outcomes:
    """Return what a conjunction can be."""
    return frozenset(all(world) for world in product(*outcomes))


def number(text: str) -> Fraction | None:
    """Return a decimal number."""
    unsigned = text[1:] if text[:1] in {"+", "-"} and text[:1] else text
    whole, _, part = unsigned.partition(".")
    digits = set("0123456789")
    if not (whole or part) or not set(whole + part) <= digits:
        return None
    return Fraction(text if not text.endswith(".") else text + "0")


def instant(text: str) -> Fraction | None:
    """Return the seconds since 1970 of a date."""
    if text.isdigit() and text.isascii():
        return None if len(text) == 4 or int(text) >= 2**63 else Fraction(text)
    for shape in ("%Y-%m", "%Y-%m-%d", "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%SZ"):
        try:
            moment = datetime.strptime(text, shape).replace(tzinfo=timezone.utc)
        except ValueError:
            continue
        return Fraction(int(moment.timestamp()))
    if len(text) == 25 and text[19] in "+-":
        try:
            moment = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
        except ValueError:
            return None
        ahead = timedelta(hours=int(text[20:22]), minutes=int(text[23:25]))
        moment += -ahead if text[19] == "+" else ahead
        return Fraction(int(moment.timestamp()))
    return None


def bits(text: str) -> str | None:
    """Return an address as a text of 32 or 128 bits."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    width = 32 if address.version == 4 else 128
    written = f"{int(address):0{width}b}"
    mapped = "0" * 80 + "1" * 16
    return written[96:] if width == 128 and written.startswith(mapped) else written


def match_one(kind: str, wanted: str, value: str, context: dict[str, Any], v: bool) -> Outcomes:
    """Return how one value of the request can compare with one of the policy."""
    atoms = expand(
        wanted, context, variables=v and kind in {"Text", "Folded", "Like", "Arn", "Bool"}
    )
    missing = UNDEFINED in atoms
    match kind:
        case "Text":
            same = spelled(atoms) == value
        case "Folded":
            same = spelled(atoms).lower() == value.lower()
        case "Like":
            same = glob(atoms, value)
        case "Arn":
            return match_arn(atoms, value)
        case "Bool":
            known = {"true", "false"}
            if value.lower() not in known or not (missing or spelled(atoms).lower() in known):
                return EITHER
            same = spelled(atoms).lower() == value.lower()
        case "Binary":
            try:
                same = base64.b64decode(value, validate=True) == base64.b64decode(wanted)
            except ValueError:
                return EITHER
        case "Ip":
            address, (start, _, length) = bits(value), wanted.partition("/")
            if address is None:
                return EITHER
            network = bits(start) or ""
            size = int(length) if length else len(network)
            same = len(network) == len(address) and network[:size] == address[:size]
        case _:
            return match_order(kind, wanted, value)
    if missing:
        return NO
    return YES if same else NO


def match_arn(atoms: list[Atom], value: str) -> Outcomes:
    """Return whether six parts match, each for itself."""
    parts = value.split(":", 5)
    if len(parts) < 6 or parts[0] != "arn":
        return EITHER
    if UNDEFINED in atoms:
        return NO
    if atoms == [("any", "*")]:
        return YES
    patterns: list[list[Atom]] = [[]]
    written = atoms.count(("is", ":"))
    for at, atom in enumerate(atoms):
        if atom == ("value", ":") and written and atoms[:at].count(("is", ":")) < 5:
            return EITHER
        if atom[0] in {"is", "value"} and atom[1] == ":" and len(patterns) < 6:
            patterns.append([])
        else:
            patterns[-1].append(atom)
    if len(patterns) < 6:
        return EITHER
    return YES if all(glob(*pair) for pair in zip(patterns, parts, strict=True)) else NO


def match_order(kind: str, wanted: str, value: str) -> Outcomes:
    """Return how numbers and dates compare."""
    read = number if kind.startswith("Numeric") else instant
    left, right = read(value), read(wanted)
    if left is None or right is None:
        return EITHER
    order = kind.removeprefix("Numeric").removeprefix("Date")
    same = {
        "Equals": left == right,
        "LessThan": left < right,
        "LessThanEquals": left <= right,
        "GreaterThan": left > right,
        "GreaterThanEquals": left >= right,
    }[order]
    return YES if same else NO


KINDS = {
    "StringEquals": "Text",
    "StringEqualsIgnoreCase": "Folded",
    "StringLike": "Like",
    "ArnEquals": "Arn",
    "ArnLike": "Arn",
    "Bool": "Bool",
    "BinaryEquals": "Binary",
    "IpAddress": "Ip",
}


def condition_outcomes(
    name: str, key: str, wanted: Any, context: dict[str, Any], v: bool
) -> tuple[Outcomes, bool]:
    """Return what a condition can be, and whether a variable in it stands for nothing."""
    values = context.get(key.lower())
    policy = [as_text(one) for one in as_list(wanted)]
    if name == "Null":
        policy = [one.lower() for one in policy]
    if name == "Null" and values is not None and set(values) == {""}:
        return (EITHER if len(set(policy)) == 1 else YES), False
    if name == "Null":
        return (YES if ("true" if values is None else "false") in policy else NO), False
    quantifier, _, name = name.rpartition(":")
    if_exists = name.endswith("IfExists")
    name = name.removesuffix("IfExists")
    if if_exists and values is None:
        return (EITHER if quantifier == "ForAnyValue" else YES), False
    negated = name.startswith("Not") or "Not" in name
    name = name.replace("Not", "")
    kind = KINDS.get(name, name)
    takes = kind in {"Text", "Folded", "Like", "Arn", "Bool"}
    broken = takes and any(UNDEFINED in expand(one, context, variables=v) for one in policy)

    def outcomes_of(value: str) -> Outcomes:
        result = any_of([match_one(kind, one, value, context, v) for one in policy])
        return frozenset(not one for one in result) if negated else result

    if quantifier:
        full = [] if values is None or set(values) == {""} else values
        join = all_of if quantifier == "ForAllValues" else any_of
        return join([outcomes_of(one) for one in full]), broken
    if values is None:
        return (YES if negated else NO), broken
    return (outcomes_of(values[0]) if len(values) == 1 else EITHER), broken


# --- statements ---


def complete(atoms: list[Atom]) -> list[Atom]:
    """Return a resource with the missing fields of its ARN filled by stars."""
    if spelled(atoms) == "*":
        return atoms
    while atoms.count(("is", ":")) < 5:
        atoms = [*atoms, ("is", ":"), ("any", "*")]
    return atoms


def confined(atoms: list[Atom]) -> list[Atom]:
    """Return a resource whose wildcards stay within their fields, but in the keys of S3."""
    found: list[Atom] = []
    for at, (kind, character) in enumerate(atoms):
        before = spelled(atoms[:at]).split(":")
        in_key = len(before) > 5 and before[2] == "s3"
        last = at + 1 == len(atoms) or atoms[at + 1][1] == ":"
        free = in_key or kind not in {"any", "one"} or (kind == "any" and last)
        found.append((kind if free else f"{kind} within", character))
    return found


def applies(
    statement: dict[str, Any], action: str, resource: str, context: dict[str, Any], v: bool
) -> bool:
    """Whether a statement applies, its principal left aside."""
    deny = statement["Effect"] == "Deny"
    wanted = as_list(statement.get("Action", statement.get("NotAction")))
    named = any(glob(expand(one.lower(), {}, variables=False), action.lower()) for one in wanted)
    if named == ("NotAction" in statement):
        return False
    for element in {"Resource", "NotResource"} & statement.keys():
        texts = as_list(statement[element])
        every = [expand(text, context, variables=v) for text in texts]
        patterns = [complete(p) for p in every if UNDEFINED not in p]
        if len(patterns) < len(every) and element == "NotResource" and not deny:
            return False
        if deny == (element == "NotResource"):  # here a resource has to be named for certain
            patterns = [confined(p) for p in patterns]
        if any(glob(p, resource) for p in patterns) == (element == "NotResource"):
            return False
    for name, keys in statement.get("Condition", {}).items():
        for key, values in keys.items():
            outcomes, broken = condition_outcomes(name, key, values, context, v)
            if deny and outcomes == NO:
                return False
            if not deny and (broken or outcomes != YES):
                return False
    return True


# --- principals ---


def describe(principal: str) -> dict[str, str]:
    """Return what a caller is."""
    if principal.endswith(".amazonaws.com"):
        return {"kind": "service", "text": principal}
    if principal.isdigit():
        return {"kind": "somebody", "text": principal, "account": principal}
    _, partition, _, _, account, rest = principal.split(":")
    kind = rest.split("/")[0]
    role = rest.split("/")[-1] if kind == "role" else ""
    if kind == "assumed-role":
        kind, role = "session", rest.split("/")[1]
    described = {"kind": kind, "text": principal, "account": account, "role": role}
    return {**described, "partition": partition}


def role_of(text: str) -> tuple[str, str, str]:
    """Return partition, account and name of a role's ARN."""
    parts = text.split(":")
    return parts[1], parts[4], parts[5].split("/")[-1]


def names_caller(  # noqa: PLR0911 (one return for each kind of entry)
    kind: str, text: str, caller: dict[str, str]
) -> str:
    """Return how one entry of a Principal names a caller: self, role, account, maybe or no."""
    if kind == "Service":
        return "self" if caller["kind"] == "service" and caller["text"] == text else "no"
    if kind in {"Federated", "CanonicalUser"}:
        return "maybe"
    if caller["kind"] == "service":
        return "no"
    if text.isdigit() or text.endswith(":root"):
        account = text if text.isdigit() else text.split(":")[4]
        if account != caller["account"]:
            return "no"
        return "self" if caller["kind"] == "root" else "account"
    if text.split(":")[4] == caller["account"] and caller["kind"] == "somebody":
        return "maybe"
    if ":role/" in text:
        if caller["kind"] in {"role", "session"} and role_of(text) == (
            caller["partition"],
            caller["account"],
            caller["role"],
        ):
            if caller["kind"] == "session":
                return "role"
            return "self" if text == caller["text"] else "maybe"
        return "no"
    if ":assumed-role/" in text and caller["kind"] == "role":
        _, partition, _, _, account, rest = text.split(":")
        its_role = (caller["partition"], caller["account"], caller["role"])
        return "maybe" if (partition, account, rest.split("/")[1]) == its_role else "no"
    if ":user/" in text and caller["kind"] == "federated-user":
        return "maybe" if text.split(":")[4] == caller["account"] else "no"
    return "self" if text == caller["text"] else "no"


def entries(element: Any) -> list[tuple[str, str]]:
    """Return type and text of each principal in an element."""
    return [(kind, text) for kind, value in element.items() for text in as_list(value)]


def at_home(statement: dict[str, Any], partition: str | None) -> bool:
    """Whether all principals that a statement names are of a partition."""
    every = statement["Principal"]
    arns = [text for _, text in entries(every) if ":" in text] if every != "*" else []
    return partition is None or all(arn.split(":")[1] == partition for arn in arns)


def grant(statement: dict[str, Any], caller: dict[str, str] | None) -> str:
    """Return how far an Allow goes: direct, role, delegated or none."""
    element = statement["Principal"]
    if element == "*":
        return "direct"
    service = caller is not None and caller["kind"] == "service"
    if ("AWS", "*") in entries(element) and not service:
        return "direct"
    if caller is None:
        return "none"
    said = {names_caller(*entry, caller) for entry in entries(element) if entry[1] != "*"}
    if "self" in said:
        return "role" if caller["kind"] == "role" else "direct"
    if "role" in said:
        return "role"
    return "delegated" if "account" in said else "none"


def meant(statement: dict[str, Any], caller: dict[str, str] | None, *, bounded: bool) -> bool:
    """Return whether a Deny is about a caller, or may be."""
    if "Principal" in statement:
        element = statement["Principal"]
        if element == "*" or caller is None or ("AWS", "*") in entries(element):
            return True
        return any(names_caller(*entry, caller) != "no" for entry in entries(element))
    if bounded or caller is None or caller["kind"] in {"somebody", "federated-user"}:
        return True
    said = {names_caller(*entry, caller) for entry in entries(statement["NotPrincipal"])}
    needed = {
        "session": {"self", "role", "account"},
        "service": {"self"},
        "root": {"self"},
    }.get(caller["kind"], {"self", "account"})
    return not needed <= said


# --- the decision ---


def decide(
    action: str,
    resource: str,
    context: dict[str, Any] | None,
    *,
    identity: list[dict[str, Any]],
    boundary: dict[str, Any] | None = None,
    session: dict[str, Any] | None = None,
    resource_policy: dict[str, Any] | None = None,
    principal: str | None = None,
    resource_account: str | None = None,
) -> tuple[bool, str]:
    """Return whether a request is allowed, and the effect."""
    lowered = action.lower()
    if lowered == "sts:getcalleridentity":
        return True, "Allow"
    caller = None if principal is None else describe(principal)
    fields = resource.split(":")
    named = fields[4] if len(fields) > 5 and fields[4].isdigit() else None
    owner = named or resource_account or (caller.get("account") if caller else None)
    request = {**derived(caller, owner), **read_request_context(context)}
    gone = [key.lower() for key, value in (context or {}).items() if as_list(value) in ([None], [])]
    for key in gone:
        request.pop(key, None)

    def hits(policy: dict[str, Any] | None, effect: str) -> list[dict[str, Any]]:
        if policy is None:
            return []
        v = policy.get("Version") == "2012-10-17"
        return [
            one
            for one in as_list(policy["Statement"])
            if one["Effect"] == effect and applies(one, action, resource, request, v)
        ]

    own = [*identity, boundary, session]
    if any(hits(policy, "Deny") for policy in own):
        return False, "ExplicitDeny"
    bounded = boundary is not None
    if any(meant(one, caller, bounded=bounded) for one in hits(resource_policy, "Deny")):
        return False, "ExplicitDeny"

    its = caller.get("partition") if caller else None
    partition = fields[1] if len(fields) > 1 else its
    kind = caller["kind"] if caller else "unknown"
    if (its and its != partition) or forbidden(kind, lowered) or reserved(lowered, resource):
        return False, "ImplicitDeny"
    allowing = [one for one in hits(resource_policy, "Allow") if at_home(one, partition)]
    grants = {grant(one, caller) for one in allowing} - {"none"}
    if kind == "service":
        allowed = bool(grants)
    else:
        free = kind == "root" or (kind == "user" and lowered == "sts:getsessiontoken")
        by_identity = free or any(hits(policy, "Allow") for policy in identity)
        limited = all(policy is None or hits(policy, "Allow") for policy in (boundary, session))
        if kind == "federated-user" and session is None:
            limited = False
        if caller and owner != caller["account"]:
            allowed = by_identity and limited and bool(grants)
        elif "direct" in grants:
            allowed = True
        else:
            trusting = lowered in {"sts:assumerole", "sts:tagsession"} and ":role/" in resource
            demanding = trusting or (lowered.startswith("kms:") and ":key/" in resource)
            allowed = ("role" in grants or by_identity) and limited
            allowed = allowed and (bool(grants) or not demanding)
    return allowed, "Allow" if allowed else "ImplicitDeny"


def forbidden(kind: str, action: str) -> bool:
    """Whether a kind of caller may not do something, whatever its policies say."""
    return {
        "root": action in {"sts:assumerole", "sts:tagsession"},
        "role": action in {"sts:getfederationtoken", "sts:getsessiontoken"},
        "session": action in {"sts:getfederationtoken", "sts:getsessiontoken"},
        "federated-user": action.startswith(("iam:", "sts:")),
    }.get(kind, False)


def reserved(action: str, resource: str) -> bool:
    """Return whether it is a change of what is AWS's own."""
    service, _, name = action.partition(":")
    changes = name.startswith(("create", "delete", "update", "set", "tag", "untag"))
    ours = (service == "kms" and ":alias/aws/" in resource) or (
        service == "iam" and "::aws:policy/" in resource
    )
    return ours and changes


def derived(caller: dict[str, str] | None, owner: str | None) -> dict[str, list[str]]:
    """Return the context keys that follow from the request."""
    found: dict[str, list[str]] = {}
    if owner is not None:
        found["aws:resourceaccount"] = [owner]
    if caller is None:
        return found
    if caller["kind"] == "service":
        found["aws:principalisawsservice"] = ["true"]
        found["aws:principalservicename"] = [caller["text"]]
        return found
    found["aws:principalisawsservice"] = ["false"]
    found["aws:principalaccount"] = [caller["account"]]
    if caller["kind"] == "somebody":
        return found
    arn = caller["text"]
    if caller["kind"] == "session":
        arn = f"arn:{caller['partition']}:iam::{caller['account']}:role/{caller['role']}"
    found["aws:principalarn"] = [arn]
    types = {"user": "User", "root": "Account", "federated-user": "FederatedUser"}
    found["aws:principaltype"] = [types.get(caller["kind"], "AssumedRole")]
    if caller["kind"] == "user":
        found["aws:username"] = [arn.split("/")[-1]]
    return found
