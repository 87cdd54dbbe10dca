"""`lutra group members|role|remove|add-again|leave|profile|rename`: who is in a group."""

from __future__ import annotations

from typing import Any

import click

from lutra.cli.invocation import Invocation, common
from lutra.cli.session import session
from lutra.cli.text import columns, count, moment, short
from lutra.errors import UsageError

_group = click.argument("group_id", metavar="GROUP")
_person = click.argument("person")
_PROFILES = {
    "archive": "Whoever joins can read everything that was ever written here.",
    "join-on": "Whoever joins can read what is written from then on.",
    "sealed": "Keys are deleted after use: what was read cannot be opened again later, and whoever "
    "joins reads nothing of before.",
}


@click.command()
@_group
@click.option("--changes", is_flag=True, help="Also list who changed the membership how.")
@common
def members(invocation: Invocation, group_id: str, *, changes: bool) -> None:
    """List the persons in GROUP, their roles and devices."""
    with session(invocation.profile) as node:
        found = node.call("members", group=group_id)
    lines = [f"{found['name']}  {found['id']}", columns(_persons(found["members"]))]
    if found["departure"] is not None:
        lines.append(departure(found["departure"]))
    if changes:
        lines += [_change(item) for item in found["changes"]]
    invocation.show(found, "\n".join(lines))


@click.command()
@_group
@_person
@click.argument("new_role", metavar="ROLE")
@common
def role(invocation: Invocation, group_id: str, person: str, new_role: str) -> None:
    """Give PERSON (a name, or the first letters of an id) the ROLE in GROUP.

    Roles: keeper (carries what it cannot read), reader, writer, admin.
    """
    with session(invocation.profile) as node:
        found = node.call("set_role", group=group_id, person=person, role=new_role)
    invocation.show(found, columns(_persons(found["members"])))


@click.command()
@_group
@_person
@click.option("--preview", is_flag=True, help="Only say what it would mean.")
@click.option("--status", is_flag=True, help="Only say who knows of an earlier removal.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def remove(
    invocation: Invocation, group_id: str, person: str, *, preview: bool, status: bool, yes: bool
) -> None:
    """Remove PERSON from GROUP: new text is encrypted with keys the person does not get."""
    if preview and status:
        raise UsageError("Ask either for the preview or for the status.")
    with session(invocation.profile) as node:
        if status:
            found = node.call("removal_status", group=group_id, person=person)
            invocation.show(found, _status(found))
            return
        meant = node.call("removal_preview", group=group_id, person=person)
        if preview:
            invocation.show(meant, _preview(meant))
            return
        if not yes:
            click.echo(_preview(meant), err=True)
            click.confirm(f"Remove {_named(meant['name'])}?", abort=True, err=True)
        done = node.call("remove_person", group=group_id, person=meant["person"])
    invocation.show(done, f"Removed {_named(done['name'])}.\n{_status(done)}")


@click.command(name="add-again")
@_group
@_person
@click.option("--role", "new_role", help="Default: the role the person had last.")
@common
def add_again(invocation: Invocation, group_id: str, person: str, new_role: str | None) -> None:
    """Bring PERSON back into GROUP, for example to undo a removal."""
    with session(invocation.profile) as node:
        found = node.call("add_again", group=group_id, person=person, role=new_role)
    invocation.show(found, columns(_persons(found["members"])))


@click.command()
@_group
@click.option("--yes", is_flag=True, help="Do not ask.")
@common
def leave(invocation: Invocation, group_id: str, *, yes: bool) -> None:
    """Leave GROUP with all your devices; its pages stay here to be read."""
    with session(invocation.profile) as node:
        found = node.call("group", group=group_id)
        if not yes:
            click.confirm(f"Leave “{found['name']}” with all your devices?", abort=True, err=True)
        left = node.call("leave_group", group=found["id"])
    invocation.show(left, f"You have left “{left['name']}”. Its pages stay here to be read.")


@click.command()
@_group
@common
def profile(invocation: Invocation, group_id: str) -> None:
    """Say what newcomers to GROUP may read; it was chosen when the group was made."""
    with session(invocation.profile) as node:
        found = node.call("group", group=group_id)
    value = {"group": found["id"], "profile": found["profile"]}
    invocation.show(value, f"{found['profile']}: {_PROFILES[found['profile']]}")


@click.command()
@_group
@click.argument("name")
@common
def rename(invocation: Invocation, group_id: str, name: str) -> None:
    """Call GROUP NAME from now on, for all members."""
    with session(invocation.profile) as node:
        found = node.call("rename_group", group=group_id, name=name)
    invocation.show(found, f"The group is called “{found['name']}” now.")


COMMANDS = (members, role, remove, add_again, leave, profile, rename)


def departure(found: dict[str, Any]) -> str:
    """Return how this device came to be out of a group, as a sentence."""
    if found["reason"] == "left":
        return "You have left this group. Its pages stay here to be read."
    if found["reason"] == "removed":
        return (
            f"You were removed by {_named(found['by_name'])} on {moment(found['time'])}. "
            "What is here stays here to be read."
        )
    return (
        "This device is not one of the group's any more: it was removed, or its profile was "
        "copied. What is here stays here to be read."
    )


def _persons(found: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    persons: dict[str, list[dict[str, Any]]] = {}
    for item in found:
        persons.setdefault(item["person"], []).append(item)
    rows: list[tuple[str, ...]] = []
    for person, items in persons.items():
        name = next((item["name"] for item in items if item["name"]), "(name not known yet)")
        present = [item for item in items if item["present"]]
        me = " (you)" if any(item["me"] for item in items) else ""
        state = present[0]["role"] if present else "not in the group any more"
        devices = ", ".join(item["device_name"] or short(item["device"]) for item in present)
        rows.append((short(person), f"{name}{me}", state, devices))
    return rows


def _change(item: dict[str, Any]) -> str:
    what = {
        "created": "{by} made the group",
        "added": "{by} added {name} as {role}",
        "removed": "{by} removed {name}",
        "role": "{by} made {name} {role}",
        "left": "{name} left",
    }[item["kind"]]
    if item["kind"] == "role" and item["by"] == item["person"] and item["role"] == "admin":
        what = "{by} took over as admin, as nobody else was left"
    sentence = what.format(by=_named(item["by_name"]), name=_named(item["name"]), role=item["role"])
    undone = "" if item["counts"] else " (undone by something done at the same time)"
    return f"{moment(item['time'])}  {sentence}{undone}"


def _preview(found: dict[str, Any]) -> str:
    lines = [
        f"{_named(found['name'])} has been in the group since {moment(found['since'])}, with "
        f"{count(len(found['devices']), 'device')}; the group has {count(found['pages'], 'page')}.",
        found["keeps"],
        f"What they wrote stays ({count(found['operations'], 'change')}); what comes later is "
        "refused.",
        found["protected"],
    ]
    if found["drafts"]:
        lines.append(
            f"{count(found['drafts'], 'page')} with edits of yours that were not sent yet: they "
            "go out under the new keys."
        )
    return "\n".join(lines)


def _status(found: dict[str, Any]) -> str:
    lines = [
        "New text from this device is protected."
        if found["protected"]
        else "The keys are not changed yet; until then new text stays on this device."
    ]
    for who, sentence in (("aware", "Know of it: {}."), ("unaware", "Do not know yet: {}.")):
        names = [item["device_name"] or short(item["device"]) for item in found[who]]
        if names:
            lines.append(sentence.format(", ".join(names)))
    lines.append(
        f"{_named(found['name'])} has been told."
        if found["told"]
        else f"{_named(found['name'])} has not been told yet."
    )
    return "\n".join(lines)


def _named(name: str) -> str:
    return name or "somebody whose name is not known yet"
