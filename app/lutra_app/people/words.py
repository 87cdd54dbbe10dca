"""Roles, history profiles and trust in words."""

from __future__ import annotations

from datetime import datetime

from lutra_app.i18n import plural, tr
from lutra_app.theme.parts import Option


def roles() -> tuple[Option, ...]:
    """Return the roles people can be given, in words."""
    return (
        Option("reader", tr("Reader"), tr("Reads every page, changes none.")),
        Option("writer", tr("Writer"), tr("Reads and writes every page.")),
        Option(
            "admin",
            tr("Admin"),
            tr("Also invites, removes, and decides who may do what."),
        ),
    )


def role_name(role: str) -> str:
    """Return what a role is called."""
    if role == "keeper":
        return tr("Keeper")
    return next((option.text for option in roles() if option.key == role), "")


def profiles() -> tuple[Option, ...]:
    """Return the history profiles a group can have, in words."""
    return (
        Option(
            "archive",
            tr("Everything stays readable"),
            tr("Newcomers read all pages with their whole history. Right for most groups."),
        ),
        Option(
            "join-on",
            tr("From joining on"),
            tr("Newcomers get the pages as they are when they join, not what was in them before."),
        ),
        Option(
            "sealed",
            tr("Sealed"),
            tr(
                "As before, and keys of what was read are destroyed soon: a device that is stolen "
                "later cannot decrypt old traffic. New devices depend on one that has the pages."
            ),
        ),
    )


def profile_words(profile: str) -> str:
    """Return what a group's history profile means for newcomers."""
    found = next((option for option in profiles() if option.key == profile), None)
    return f"{found.text}. {found.detail}" if found is not None else ""


def date_text(milliseconds: int) -> str:
    """Return a day and time; empty if not known."""
    if not milliseconds:
        return ""
    return f"{datetime.fromtimestamp(milliseconds / 1000):%d %B %Y, %H:%M}"


def when_text(milliseconds: int, now: datetime | None = None) -> str:
    """Return a time as people say it; empty if it is not known."""
    if not milliseconds:
        return ""
    when, today = datetime.fromtimestamp(milliseconds / 1000), now or datetime.now()
    if when.date() == today.date():
        return tr("today, {time}", time=f"{when:%H:%M}")
    if (today.date() - when.date()).days == 1:
        return tr("yesterday, {time}", time=f"{when:%H:%M}")
    return date_text(milliseconds)


def devices_text(count: int) -> str:
    """Return a number of devices in words."""
    return plural(count, "{count} device", "{count} devices")
