"""Bodies of `sealed` groups: MLS PrivateMessages, whose keys are deleted on use (GROUPS §2.9).

Both ways change the epoch's state: go on with the state returned only, and store it together with
what was sent or read, so that no key is ever used twice.
"""

from __future__ import annotations

from lutra.crypto.hashing import blake3_hash, equal_constant_time
from lutra.errors import DecryptionError
from lutra.groups.errors import UnreadableBodyError
from lutra.groups.key_packages import device_of
from lutra.mls import Group, ReceivedApplication
from lutra.mls.errors import MlsRemoteError, OwnMessageError, TooFarAheadError, UsedKeyError


def seal(group: Group, plaintext: bytes, context: bytes) -> tuple[bytes, Group]:
    """Encrypt a body; returns it and the epoch's state without the key it used.

    Args:
        group: the epoch.
        plaintext: what to encrypt.
        context: everything the ciphertext is to be bound to.
    """
    sent = group.encrypt(plaintext, authenticated_data=blake3_hash(context))
    return sent.message, sent.group


def unseal(group: Group, author: bytes, body: bytes, context: bytes) -> tuple[bytes, Group]:
    """Decrypt a body; returns it and the epoch's state without the key that opened it.

    Args:
        group: the epoch.
        author: the device that signed the operation.
        body: its body.
        context: everything the ciphertext must be bound to.

    Raises:
        UnreadableBodyError: its key is gone, or messages before it have not come yet.
        DecryptionError: it was not sealed by this author for this place; the key is kept, since
            the right message may still come.
    """
    try:
        received = group.process(body)
    except (UsedKeyError, TooFarAheadError, OwnMessageError) as error:
        raise UnreadableBodyError("The key of a message is not at hand.") from error
    except MlsRemoteError as error:
        raise DecryptionError("A message cannot be opened.") from error
    if not isinstance(received, ReceivedApplication):
        raise DecryptionError("A message holds no content.")
    leaf = group.tree.leaf(received.sender)
    if (
        leaf is None
        or device_of(leaf.credential) != author
        or not equal_constant_time(received.authenticated_data, blake3_hash(context))
    ):
        raise DecryptionError("A message was made for another place.")
    return received.data, received.group
