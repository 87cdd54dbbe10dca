"""The names of history profiles, as programs and people write them."""

from __future__ import annotations

from lutra.errors import UsageError
from lutra.groups.contents import Profile

_NAMES = {Profile.ARCHIVE: "archive", Profile.JOIN_ON: "join-on", Profile.SEALED: "sealed"}
NAMES = tuple(_NAMES.values())


def profile_name(profile: Profile) -> str:
    """Return ``archive``, ``join-on`` or ``sealed``."""
    return _NAMES[profile]


def profile_named(name: str) -> Profile:
    """Return the profile of a name.

    Raises:
        UsageError: there is none.
    """
    for profile, known in _NAMES.items():
        if known == name:
            return profile
    raise UsageError(f"There is no history profile “{name}”; there are {', '.join(NAMES)}.")
