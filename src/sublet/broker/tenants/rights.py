"""Who may do what: one table, read by one function.

Invariant: another tenant's things do not exist. Whoever asks for them gets NotFound, never Forbidden, so that neither
a name nor a count nor an existence leaks.
"""

from __future__ import annotations

from sublet.broker.errors import Forbidden, NotFound
from sublet.broker.tenants.values import Actor

TENANT, TEAM, READ = ("operator", "admin"), ("operator", "admin", "member"), ("operator", "admin", "member", "auditor")
OPERATOR = ("operator",)
HOUSE = ("operator", "auditor")

RIGHTS: dict[str, tuple[str, ...]] = {
    "organisation.create": OPERATOR,
    "organisation.list": HOUSE,
    "organisation.read": READ,
    "project.create": TENANT,
    "project.update": TENANT,
    "project.read": READ,
    "cap.read": READ,
    "cap.write": OPERATOR,
    "person.create": TENANT,
    "person.read": TENANT,
    "token.issue": TENANT,
    "token.read": TENANT,
    "token.revoke": TENANT,
    "audit.read": ("operator", "admin", "auditor"),
    "supply.read": HOUSE,
    "supply.write": OPERATOR,
    "quote.create": TEAM,
    "quote.read": READ,
    "order.create": TEAM,
    "order.read": READ,
    "order.approve": TENANT,
    "order.cancel": TEAM,
    "lease.read": READ,
    "lease.end": TEAM,
    "lease.extend": TEAM,
    "lease.run": TEAM,
    "usage.read": READ,
    "cost.read": READ,
    "receipt.read": READ,
    "ledger.read": HOUSE,
    "credit.create": OPERATOR,
    "webhook.write": TENANT,
    "webhook.read": TENANT,
    "doctor.run": HOUSE,
}


_NOUNS = {
    "order.create": "quote",
    "quote.create": "project",
    "token.issue": "project",
    "project.create": "organisation",
    "cap.read": "organisation",
    "cap.write": "organisation",
    "person.create": "organisation",
    "person.read": "organisation",
    "audit.read": "project",
    "usage.read": "project",
    "cost.read": "project",
}


def hidden(action: str) -> NotFound:
    """What is said of another tenant's thing: the very words for one that does not exist ("no such lease")."""
    return NotFound(f"no such {_NOUNS.get(action, action.partition('.')[0])}")


def permit(actor: Actor, action: str, *, organisation: str | None = None, project: str | None = None) -> None:
    """Let `actor` do `action` on what belongs to `organisation` (and `project`), or raise.

    NotFound where the thing is another tenant's or another project's; Forbidden where it is the actor's own and the
    role or the token's scope does not reach, and for what concerns the whole house where the actor is a tenant's. A
    KeyError means that the action is not in the table: a programming error.
    """
    allowed = RIGHTS[action]
    if actor.role == "system":
        return
    if not actor.everywhere:
        if organisation is not None and organisation != actor.organisation:
            raise hidden(action)
        if project is not None and actor.project is not None and project != actor.project:
            raise hidden(action)
    if actor.role not in allowed or (actor.role == "operator" and actor.organisation is not None):
        raise Forbidden(f"{action} needs the role {' or '.join(allowed)}; this token has {actor.role}")
    if allowed in (OPERATOR, HOUSE) and not actor.everywhere:
        raise Forbidden(f"{action} is for the house; this token is a tenant's")
    if actor.scopes and action not in actor.scopes:
        raise Forbidden(f"this token is limited to {', '.join(actor.scopes)}; {action} is not among them")


def own(actor: Actor, organisation: str | None) -> str:
    """The organisation that a request is about: the one named, or the actor's own.

    Raises NotFound where a tenant names another's, and where an actor of the house names none.
    """
    if actor.everywhere or actor.role == "system":
        if organisation is None:
            raise NotFound("name the organisation: this token belongs to none")
        return organisation
    if organisation is not None and organisation != actor.organisation:
        raise NotFound("no such organisation")
    assert actor.organisation is not None, "only the house has no organisation"
    return actor.organisation
