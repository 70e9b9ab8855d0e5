"""`sublet tenant`: organisations, projects, people, tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from sublet.cli.broker_connect import JSON, broker, project_of
from sublet.cli.broker_inputs import MOMENT, MONEY, TOKEN
from sublet.cli.broker_inputs import ORGANISATION as ORGANISATION_ID
from sublet.cli.tenant_caps import COMMANDS as CAPS

ROLES = click.Choice(["operator", "admin", "member", "auditor"])
ORGANISATION = click.option(
    "--organisation", type=ORGANISATION_ID, metavar="ID", help="Whose; yours, where you do not say."
)


@click.group()
def tenant() -> None:
    """Organisations, projects, people and tokens."""


for command in CAPS:
    tenant.add_command(command)


@tenant.command()
@JSON
def whoami(as_json: bool) -> None:
    """Who your token is, and what it reaches."""
    from sublet.cli import broker_render as render

    with broker() as client:
        me = client.me()
    if as_json:
        render.as_json(me)
        return
    render.facts(
        {"token": me.id, "role": me.role, "organisation": me.organisation, "project": me.project, "may": me.may}
    )


@tenant.command()
@JSON
def organisations(as_json: bool) -> None:
    """Tenants; a tenant sees itself."""
    from sublet.cli import broker_render as render

    with broker(operator=True) as client:
        render.show(
            client.organisations(),
            (
                ("id", lambda each: each.id),
                ("name", lambda each: each.name),
                ("tier", lambda each: each.tier),
                ("since", lambda each: each.created_at),
            ),
            json_wanted=as_json,
            empty="no tenants yet: sublet tenant add-organisation NAME",
        )


@tenant.command("add-organisation")
@click.argument("name")
@click.option("--tier", type=click.IntRange(0, 9), default=1, show_default=True, help="0 is served first.")
@JSON
def add_organisation(name: str, tier: int, as_json: bool) -> None:
    """Make a tenant. Its first token: sublet tenant issue-token NAME --role admin --organisation ID."""
    from sublet.cli import broker_render as render

    with broker(operator=True) as client:
        made = client.create_organisation(name, tier=tier)
    render.as_json(made) if as_json else click.echo(f"{made.id}  {made.name}")


@tenant.command()
@JSON
def projects(as_json: bool) -> None:
    """Projects with their budgets."""
    from sublet.cli import broker_render as render

    with broker() as client:
        rows = [(project, client.budget(project.id)) for project in client.projects()]
        if as_json:
            render.as_json([{"project": project, "budget": budget} for project, budget in rows])
            return
        render.show(
            rows,
            (
                ("id", lambda row: row[0].id),
                ("name", lambda row: row[0].name),
                ("budget", lambda row: row[1].budget or "no limit"),
                ("spent", lambda row: row[1].spent),
                ("committed", lambda row: row[1].committed),
                ("left", lambda row: row[1].left),
                ("approval", lambda row: row[0].needs_approval),
                ("hard stop", lambda row: row[0].hard_stop),
            ),
            json_wanted=False,
            empty="no projects yet: sublet tenant add-project NAME --budget 10000USD",
        )


@tenant.command("add-project")
@click.argument("name")
@click.option("--budget", type=MONEY, metavar="MONEY", help="Of the whole project; without it there is no limit.")
@click.option("--approval", is_flag=True, help="Orders wait for an admin to approve them.")
@click.option("--no-hard-stop", is_flag=True, help="Leases go on when the budget is used up.")
@ORGANISATION
@JSON
def add_project(
    name: str, budget: Any, approval: bool, no_hard_stop: bool, organisation: str | None, as_json: bool
) -> None:
    """Make a project."""
    from sublet.cli import broker_render as render

    with broker() as client:
        made = client.create_project(
            name, organisation=organisation, budget=budget, needs_approval=approval, hard_stop=not no_hard_stop
        )
    render.as_json(made) if as_json else click.echo(f"{made.id}  {made.name}")


@tenant.command("set-project")
@click.argument("project")
@click.option("--budget", type=MONEY, metavar="MONEY")
@click.option("--no-budget", is_flag=True, help="From now on there is no limit of money.")
@click.option("--approval/--no-approval", default=None)
@click.option("--hard-stop/--no-hard-stop", default=None)
def set_project(project: str, budget: Any, no_budget: bool, approval: bool | None, hard_stop: bool | None) -> None:
    """Change a project's budget or rules."""
    from sublet.cli import broker_render as render
    from sublet.errors import InputError

    if budget is not None and no_budget:
        raise InputError("--budget and --no-budget: give one of them")
    if budget is None and not no_budget and approval is None and hard_stop is None:
        raise InputError("what is to change? give --budget, --no-budget, --approval or --hard-stop (or their --no-...)")
    with broker() as client:
        found = project_of(client, project)
        _, tag = client.project(found)
        changed = client.update_project(
            found,
            budget=budget,
            remove_budget=no_budget,
            needs_approval=approval,
            hard_stop=hard_stop,
            if_match=tag,
        )
    render.facts(
        {
            "project": changed.name,
            "budget": changed.budget or "no limit",
            "approval": changed.needs_approval,
            "hard stop": changed.hard_stop,
        }
    )


@tenant.command()
@ORGANISATION
@JSON
def people(organisation: str | None, as_json: bool) -> None:
    """People and their roles."""
    from sublet.cli import broker_render as render

    with broker() as client:
        render.show(
            client.people(organisation=organisation),
            (
                ("id", lambda each: each.id),
                ("name", lambda each: each.name),
                ("email", lambda each: each.email),
                ("role", lambda each: each.role),
            ),
            json_wanted=as_json,
            empty="nobody yet: sublet tenant add-person NAME EMAIL --role member",
        )


@tenant.command("add-person")
@click.argument("name")
@click.argument("email")
@click.option("--role", type=ROLES, required=True)
@ORGANISATION
def add_person(name: str, email: str, role: str, organisation: str | None) -> None:
    """Give somebody a role."""
    with broker() as client:
        made = client.create_person(name, email, role, organisation=organisation)
    click.echo(f"{made.id}  {made.name} <{made.email}>  {made.role}")


@tenant.command()
@ORGANISATION
@JSON
def tokens(organisation: str | None, as_json: bool) -> None:
    """Tokens, without their secrets."""
    from sublet.cli import broker_render as render

    with broker() as client:
        render.show(
            client.tokens(organisation=organisation),
            (
                ("id", lambda each: each.id),
                ("name", lambda each: each.name),
                ("role", lambda each: each.role),
                ("project", lambda each: each.project),
                ("expires", lambda each: each.expires_at or "never"),
                ("revoked", lambda each: each.revoked_at),
                ("last used", lambda each: each.last_used_at or "never"),
            ),
            json_wanted=as_json,
            empty="no tokens yet: sublet tenant issue-token NAME --role member",
        )


@tenant.command("issue-token")
@click.argument("name")
@click.option("--role", type=ROLES, required=True)
@click.option("--project", metavar="PROJECT", help="Limit it to one project.")
@click.option("--scope", "scopes", multiple=True, metavar="ACTION", help="Limit it to these actions; may be repeated.")
@click.option("--expires", type=MOMENT, help="When it ends: +30d, 2027-01-01.")
@ORGANISATION
@JSON
def issue_token(
    name: str,
    role: str,
    project: str | None,
    scopes: tuple[str, ...],
    expires: datetime | None,
    organisation: str | None,
    as_json: bool,
) -> None:
    """Issue a token and print its secret, once."""
    from sublet.cli import broker_render as render

    with broker(operator=organisation is not None or role == "operator") as client:
        limited = project_of(client, project) if project else None
        made = client.issue_token(
            name, role, organisation=organisation, project=limited, scopes=scopes, expires_at=expires
        )
    if as_json:
        render.as_json(made)
        return
    click.echo(made.secret)
    click.echo(f"{made.token.id}: shown once, stored as a hash alone", err=True)


@tenant.command("revoke-token")
@click.argument("token", type=TOKEN)
def revoke_token(token: str) -> None:
    """End a token for good."""
    with broker() as client:
        ended = client.revoke_token(token)
    click.echo(f"{ended.id} ({ended.name}) is revoked")
