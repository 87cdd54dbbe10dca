"""Errors of the MLS library: each says which section of RFC 9420 was broken.

`section` is the number of the RFC 9420 section whose rule the message, tree or call violates.
Errors about something received are `RemoteError`s, errors about a call are `LocalError`s.
"""

from __future__ import annotations

from lutra.errors import DecryptionError, LocalError, MalformedError, RemoteError, SignatureError


class MlsRemoteError(RemoteError):
    """Something received breaks a rule of RFC 9420; no state was changed.

    Attributes:
        section: the RFC 9420 section that states the rule.
    """

    code = "mls.invalid"

    def __init__(self, message: str, section: str, **details: object) -> None:
        super().__init__(message, section=section, **details)
        self.section = section


class MlsMalformedError(MlsRemoteError, MalformedError):
    """Bytes are not the encoding of the structure they should be (RFC 9420 §2.1)."""

    code = "mls.malformed"


class MlsSignatureError(MlsRemoteError, SignatureError):
    """A signature or MAC does not fit its content."""

    code = "mls.signature"


class MlsDecryptionError(MlsRemoteError, DecryptionError):
    """A ciphertext does not open with the keys of this epoch."""

    code = "mls.decryption"


class UnsupportedError(MlsRemoteError):
    """A cipher suite, credential type, extension or proposal type is not supported here."""

    code = "mls.unsupported"


class WrongGroupError(MlsRemoteError):
    """A message belongs to another group."""

    code = "mls.wrong-group"


class WrongEpochError(MlsRemoteError):
    """A message belongs to another epoch than this state; try the state of that epoch."""

    code = "mls.wrong-epoch"


class UsedKeyError(MlsRemoteError):
    """The key of a message was used and deleted, or was skipped too long ago: a replay."""

    code = "mls.used-key"


class TooFarAheadError(MlsRemoteError):
    """A message asks for more ratchet steps than the policy allows."""

    code = "mls.too-far-ahead"


class InvalidTreeError(MlsRemoteError):
    """A ratchet tree breaks a structural rule."""

    code = "mls.invalid-tree"


class InvalidLeafError(MlsRemoteError):
    """A leaf node is not valid where it appears."""

    code = "mls.invalid-leaf"


class InvalidKeyPackageError(MlsRemoteError):
    """A key package is not valid."""

    code = "mls.invalid-key-package"


class InvalidProposalError(MlsRemoteError):
    """A proposal, or a list of proposals, is not valid."""

    code = "mls.invalid-proposal"


class InvalidCommitError(MlsRemoteError):
    """A commit is not valid."""

    code = "mls.invalid-commit"


class InvalidWelcomeError(MlsRemoteError):
    """A Welcome or GroupInfo does not lead into a group."""

    code = "mls.invalid-welcome"


class MissingPskError(MlsRemoteError):
    """A pre-shared key that a message names is not at hand."""

    code = "mls.missing-psk"


class MlsUsageError(LocalError):
    """A call asks for something RFC 9420 does not allow or this state cannot do.

    Attributes:
        section: the RFC 9420 section that states the rule.
    """

    code = "mls.usage"

    def __init__(self, message: str, section: str, **details: object) -> None:
        super().__init__(message, section=section, **details)
        self.section = section


class OwnMessageError(MlsUsageError):
    """A message is one's own; take the staged state that came with it instead.

    A private message only claims so: the key that would prove it is gone, and any member can make
    the claim. Find the staged state by the message's bytes, never by this error alone.
    """

    code = "mls.own-message"


class InactiveGroupError(MlsUsageError):
    """This device was removed from the group, or the group was reinitialised."""

    code = "mls.inactive"


class DeletedSecretError(MlsUsageError):
    """The secret a call needs was deleted from this state."""

    code = "mls.deleted-secret"
