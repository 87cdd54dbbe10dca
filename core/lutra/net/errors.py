"""What goes wrong between two devices."""

from __future__ import annotations

from lutra.errors import EnvironmentalError, LocalError, RemoteError


class HandshakeError(RemoteError):
    """The other side broke off or broke the rules before it had proven who it is."""

    code = "net.handshake"


class DeviceProofError(HandshakeError):
    """The other side did not prove the device key it claimed, or is not the one expected."""

    code = "net.device-proof"


class VersionError(RemoteError):
    """The other side speaks no version of the protocol that this device speaks."""

    code = "net.version"


class NotAdmittedError(RemoteError):
    """The other device does not let this one in, or is not let in here."""

    code = "net.not-admitted"


class ChannelError(RemoteError):
    """The other side broke a rule of an established channel."""

    code = "net.channel"


class FrameTooLargeError(LocalError):
    """A frame is larger than a channel carries."""

    code = "net.frame-too-large"


class ChannelClosedError(LocalError):
    """The channel is not open, so nothing can be sent or received through it."""

    code = "net.closed"


class ConnectionLostError(EnvironmentalError):
    """The connection ended without a word: cable, network or the other device failed."""

    code = "net.lost"


class DialError(EnvironmentalError):
    """No connection could be made to an address."""

    code = "net.dial"


class ListenError(EnvironmentalError):
    """The operating system does not let this device listen at an address."""

    code = "net.listen"
