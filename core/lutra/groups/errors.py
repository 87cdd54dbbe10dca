"""What can go wrong with groups."""

from __future__ import annotations

from lutra.errors import LocalError, NotPermittedError, RemoteError


class ControlError(RemoteError):
    """A control operation breaks a rule; it is kept in its log but has no effect."""

    code = "group.control"


class NotAMemberError(NotPermittedError):
    """This device is not in the group (any more)."""

    code = "group.not-a-member"


class ReadOnlyGroupError(NotPermittedError):
    """Pages of the group can be read here, but not changed."""

    code = "group.read-only"


class LastAdminError(NotPermittedError):
    """The last admin of a group cannot go, nor give up this role."""

    code = "group.last-admin"


class AlreadyMemberError(LocalError):
    """The device is in the group already."""

    code = "group.already-a-member"


class NoKeyError(LocalError):
    """No key may be used for new text right now; it waits until one may."""

    code = "group.no-key"


class InviteError(LocalError):
    """An invite code cannot be used."""

    code = "group.invite"


class JoinRefusedError(RemoteError):
    """The inviting device did not accept this device."""

    code = "group.join-refused"


class RestoreRefusedError(RemoteError):
    """Another device, or a file, does not know the recovery kit."""

    code = "recovery.refused"


class KitWithdrawnError(RemoteError):
    """The recovery kit was withdrawn."""

    code = "recovery.withdrawn"
