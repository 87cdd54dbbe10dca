"""Bodies of data operations, whatever the group's history profile: the one way in and out.

`archive` and `join-on`: under the epoch's data secret, which is kept. `sealed`: as MLS
PrivateMessages, whose keys are deleted on use; the group's private state changes then.
"""

from __future__ import annotations

from lutra.errors import BugError
from lutra.groups.data_keys import BodyCipher, body_context
from lutra.groups.errors import UnreadableBodyError
from lutra.groups.keyring import Keyring
from lutra.groups.sealing import seal, unseal
from lutra.operation import Extensions, Header


class Bodies:
    """Seals and opens bodies with a device's keys; see the module's text."""

    __slots__ = ("_cipher", "_keyring")

    def __init__(self, keyring: Keyring, cipher: BodyCipher) -> None:
        self._keyring = keyring
        self._cipher = cipher

    def seal(
        self,
        plaintext: bytes,
        *,
        author: bytes,
        seq_num: int,
        backlink: bytes | None,
        extensions: Extensions,
    ) -> bytes:
        """Encrypt the body of the operation that will stand at ``seq_num`` of a log.

        Its extensions name the epoch, which is the group's current one.
        """
        epoch = extensions.epoch or b""
        if not self._keyring.sealed:
            return self._cipher.seal(
                self._keyring.secrets[epoch],
                plaintext,
                author=author,
                seq_num=seq_num,
                backlink=backlink,
                extensions=extensions,
            )
        held = self._keyring.group(epoch)
        if held is None:
            raise BugError("A message was to be sealed for an epoch that is not at hand.")
        context = body_context(author, seq_num, backlink, extensions)
        body, after = seal(held, plaintext, context)
        self._keyring.replace(epoch, after)
        return body

    def can_open(self, epoch: bytes) -> bool:
        """Tell whether the keys of an epoch are at hand."""
        if self._keyring.sealed:
            return self._keyring.group(epoch) is not None
        return epoch in self._keyring.secrets

    def open(self, header: Header, body: bytes) -> bytes:
        """Decrypt an operation's body; in `sealed` groups that works once.

        Raises:
            UnreadableBodyError: its key is not at hand, yet or any more.
            DecryptionError: it was not sealed by its author for its place.
        """
        epoch = header.extensions.epoch or b""
        if not self._keyring.sealed:
            secret = self._keyring.secrets.get(epoch)
            if secret is None:
                raise UnreadableBodyError("The key of a message is not at hand.")
            return self._cipher.open(secret, header, body)
        held = self._keyring.group(epoch)
        if held is None:
            raise UnreadableBodyError("The key of a message is not at hand.")
        author = header.public_key
        context = body_context(author, header.seq_num, header.backlink, header.extensions)
        plaintext, after = unseal(held, author, body, context)
        self._keyring.replace(epoch, after)
        return plaintext
