"""The Noise Protocol Framework, revision 34, for 25519 and ChaChaPoly: handshakes and ciphers.

Everything is sans-IO: messages are bytes in and bytes out. Section numbers in the comments are
the specification's. Lutra's channels use ``Noise_XX_25519_ChaChaPoly_BLAKE2s``; the other patterns
and hashes are here because the same code runs them, which lets more official vectors check it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from lutra.crypto.chachapoly import KEY_BYTES, TAG_BYTES, ChaChaPoly
from lutra.crypto.dhkem import X25519Group
from lutra.crypto.random import Random, system_random
from lutra.errors import DecryptionError, LocalError, MalformedError
from lutra.net.errors import HandshakeError

DH_BYTES = 32
MAX_MESSAGE_BYTES = 65535
MAX_PLAINTEXT_BYTES = MAX_MESSAGE_BYTES - TAG_BYTES
LUTRA_PROTOCOL = "Noise_XX_25519_ChaChaPoly_BLAKE2s"

_MAX_NONCE = 2**64 - 1
_HASHES: Mapping[str, str] = {
    "BLAKE2s": "blake2s",
    "BLAKE2b": "blake2b",
    "SHA256": "sha256",
    "SHA512": "sha512",
}
_x25519 = X25519Group()


class NoiseUsageError(LocalError):
    """A handshake or cipher was used out of order, or set up without a key it needs."""

    code = "net.noise-usage"


class Token(Enum):
    """What a handshake message carries or mixes in (§5.3, §9.2)."""

    E = "e"
    S = "s"
    EE = "ee"
    ES = "es"
    SE = "se"
    SS = "ss"
    PSK = "psk"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A handshake pattern (§7).

    Attributes:
        initiator_known: the responder knows the initiator's static key beforehand.
        responder_known: the initiator knows the responder's static key beforehand.
        messages: tokens of each message; the initiator sends the first.
    """

    initiator_known: bool
    responder_known: bool
    messages: tuple[tuple[Token, ...], ...]


def _pattern(
    *messages: str, initiator_known: bool = False, responder_known: bool = False
) -> Pattern:
    parsed = tuple(tuple(Token(name) for name in message.split()) for message in messages)
    return Pattern(initiator_known, responder_known, parsed)


PATTERNS: Mapping[str, Pattern] = {
    "NN": _pattern("e", "e ee"),
    "NK": _pattern("e es", "e ee", responder_known=True),
    "KK": _pattern("e es ss", "e ee se", initiator_known=True, responder_known=True),
    "IK": _pattern("e es s ss", "e ee se", responder_known=True),
    "XX": _pattern("e", "e ee s es", "s se"),
}


class StaticKey:
    """A Curve25519 key pair; its ``repr`` shows the public half only."""

    __slots__ = ("_private", "public")

    public: bytes

    def __init__(self, private: bytes) -> None:
        self._private = private
        self.public = _x25519.public_key(private)

    @classmethod
    def generate(cls, random: Random = system_random) -> StaticKey:
        """Make a new key pair from 32 random bytes."""
        return cls(random(DH_BYTES))

    def exchange(self, public: bytes) -> bytes:
        """Return the shared secret.

        Raises:
            HandshakeError: ``public`` is a point of small order.
        """
        try:
            return _x25519.exchange(self._private, public)
        except MalformedError:
            raise HandshakeError("The other device sent an unusable key.") from None

    def __repr__(self) -> str:
        return f"StaticKey(public={self.public.hex()[:16]}…)"


class CipherState:
    """A key and the number of messages it has sealed or opened (§5.1)."""

    __slots__ = ("_cipher", "nonce")

    def __init__(self, key: bytes) -> None:
        self._cipher = ChaChaPoly(key)
        self.nonce = 0

    def encrypt(self, plaintext: bytes | memoryview, context: bytes | None = None) -> bytes:
        """Seal the next message."""
        nonce = self.nonce
        if nonce >= _MAX_NONCE:
            raise NoiseUsageError("A cipher has sealed as many messages as it may.")
        self.nonce = nonce + 1
        return self._cipher.encrypt(nonce, plaintext, context)

    def decrypt(self, sealed: bytes | memoryview, context: bytes | None = None) -> bytes:
        """Open the next message.

        Raises:
            DecryptionError: it was changed, repeated or left out on the way; the state stays.
        """
        if self.nonce >= _MAX_NONCE:
            raise NoiseUsageError("A cipher has opened as many messages as it may.")
        plaintext = self._cipher.decrypt(self.nonce, sealed, context)
        self.nonce += 1
        return plaintext

    def rekey(self) -> None:
        """Replace the key by a one-way function of itself (§4.2); the count goes on."""
        key = self._cipher.encrypt(_MAX_NONCE, bytes(KEY_BYTES), None)[:KEY_BYTES]
        self._cipher = ChaChaPoly(key)

    def __repr__(self) -> str:
        return f"CipherState(nonce={self.nonce})"


class SymmetricState:
    """Chaining key, transcript hash and cipher while the handshake lasts (§5.2)."""

    __slots__ = ("_chaining_key", "_cipher", "_hash_name", "transcript")

    transcript: bytes

    def __init__(self, protocol_name: str, hash_name: str) -> None:
        name = protocol_name.encode("ascii")
        length = hashlib.new(hash_name).digest_size
        self._hash_name = hash_name
        self.transcript = name.ljust(length, b"\0") if len(name) <= length else self._hash(name)
        self._chaining_key = self.transcript
        self._cipher: CipherState | None = None

    @property
    def has_key(self) -> bool:
        """Whether payloads are encrypted by now."""
        return self._cipher is not None

    def _hash(self, data: bytes) -> bytes:
        return hashlib.new(self._hash_name, data).digest()

    def _hkdf(self, material: bytes, outputs: int) -> list[bytes]:
        extracted = hmac.digest(self._chaining_key, material, self._hash_name)
        blocks: list[bytes] = []
        block = b""
        for counter in range(1, outputs + 1):
            block = hmac.digest(extracted, block + bytes((counter,)), self._hash_name)
            blocks.append(block)
        return blocks

    def mix_hash(self, data: bytes) -> None:
        """Make ``data`` part of the transcript."""
        self.transcript = self._hash(self.transcript + data)

    def mix_key(self, material: bytes) -> None:
        """Make ``material`` part of every later key."""
        self._chaining_key, key = self._hkdf(material, 2)
        self._cipher = CipherState(key[:KEY_BYTES])

    def mix_key_and_hash(self, material: bytes) -> None:
        """Mix a pre-shared key into keys and transcript (§9.1)."""
        self._chaining_key, temporary, key = self._hkdf(material, 3)
        self.mix_hash(temporary)
        self._cipher = CipherState(key[:KEY_BYTES])

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        """Seal with the transcript as context, as soon as there is a key."""
        sealed = plaintext
        if self._cipher is not None:
            sealed = self._cipher.encrypt(plaintext, self.transcript)
        self.mix_hash(sealed)
        return sealed

    def decrypt_and_hash(self, sealed: bytes) -> bytes:
        """Undo `encrypt_and_hash`; raises `DecryptionError` on a changed or foreign message."""
        plaintext = sealed
        if self._cipher is not None:
            plaintext = self._cipher.decrypt(sealed, self.transcript)
        self.mix_hash(sealed)
        return plaintext

    def split(self) -> tuple[CipherState, CipherState]:
        """Return the ciphers of the initiator's and of the responder's messages."""
        first, second = self._hkdf(b"", 2)
        return CipherState(first[:KEY_BYTES]), CipherState(second[:KEY_BYTES])

    def __repr__(self) -> str:
        return "SymmetricState(…)"


def parse_protocol(protocol_name: str) -> tuple[Pattern, str]:
    """Return the pattern, modifiers applied, and hash of a full protocol name (§8).

    Raises:
        NoiseUsageError: the name asks for something that this module does not have.
    """
    parts = protocol_name.split("_")
    if len(parts) != 5 or parts[0] != "Noise" or parts[2:4] != ["25519", "ChaChaPoly"]:
        raise NoiseUsageError("There is no such Noise protocol here.", protocol=protocol_name)
    name = parts[1]
    base, separator, modifiers = name.partition("psk")
    pattern, hash_name = PATTERNS.get(base), _HASHES.get(parts[4])
    if pattern is None or hash_name is None:
        raise NoiseUsageError("There is no such Noise protocol here.", protocol=protocol_name)
    if separator:
        for modifier in modifiers.split("+psk"):
            pattern = _with_psk(pattern, int(modifier))
    return pattern, hash_name


def _with_psk(pattern: Pattern, position: int) -> Pattern:
    """Apply the modifier ``psk<position>`` (§9.4): before the first message or after the nth."""
    messages = [list(message) for message in pattern.messages]
    if position == 0:
        messages[0].insert(0, Token.PSK)
    else:
        messages[position - 1].append(Token.PSK)
    parsed = tuple(tuple(message) for message in messages)
    return Pattern(pattern.initiator_known, pattern.responder_known, parsed)


class Handshake:
    """One side of a handshake (§5.3): call `write` and `read` in turn until `finished`.

    Args:
        protocol_name: for example ``Noise_XX_25519_ChaChaPoly_BLAKE2s``.
        initiator: whether this side sends the first message.
        prologue: bytes both sides must agree on.
        static: this side's static key, where the pattern needs one.
        remote_static: the other side's public static key, where the pattern knows it beforehand.
        psks: pre-shared 32-byte keys, in the order the pattern uses them.
        random: source of the ephemeral key.
    """

    __slots__ = (
        "_ephemeral",
        "_has_psk",
        "_initiator",
        "_messages",
        "_psks",
        "_random",
        "_remote_ephemeral",
        "_static",
        "_step",
        "_symmetric",
        "remote_static",
    )

    remote_static: bytes | None

    def __init__(
        self,
        protocol_name: str,
        *,
        initiator: bool,
        prologue: bytes = b"",
        static: StaticKey | None = None,
        remote_static: bytes | None = None,
        psks: Sequence[bytes] = (),
        random: Random = system_random,
    ) -> None:
        pattern, hash_name = parse_protocol(protocol_name)
        self._initiator = initiator
        self._messages = pattern.messages
        self._has_psk = any(Token.PSK in message for message in pattern.messages)
        self._psks = list(psks)
        self._random = random
        self._static = static
        self.remote_static = remote_static
        self._ephemeral: StaticKey | None = None
        self._remote_ephemeral: bytes | None = None
        self._step = 0
        self._symmetric = SymmetricState(protocol_name, hash_name)
        self._symmetric.mix_hash(prologue)
        for known, whose_initiator in (
            (pattern.initiator_known, True),
            (pattern.responder_known, False),
        ):
            if known:
                own = whose_initiator == initiator
                key = static.public if own and static is not None else remote_static
                if key is None:
                    raise NoiseUsageError("The handshake needs a static key known beforehand.")
                self._symmetric.mix_hash(key)

    @property
    def finished(self) -> bool:
        """Whether all messages of the pattern were exchanged."""
        return self._step == len(self._messages)

    @property
    def is_my_turn(self) -> bool:
        """Whether the next message is this side's to write."""
        return not self.finished and (self._step % 2 == 0) == self._initiator

    @property
    def transcript(self) -> bytes:
        """Hash of everything so far; after the last message: the handshake hash (§11.2)."""
        return self._symmetric.transcript

    def write(self, payload: bytes = b"") -> bytes:
        """Return the next message, carrying ``payload`` (encrypted as soon as there is a key)."""
        return self.begin_write() + self.end_write(payload)

    def begin_write(self) -> bytes:
        """Return the next message's keys, so that its payload can cover them with a signature."""
        if not self.is_my_turn:
            raise NoiseUsageError("It is not this side's turn in the handshake.")
        parts: list[bytes] = []
        for token in self._messages[self._step]:
            if token is Token.E:
                self._ephemeral = StaticKey.generate(self._random)
                parts.append(self._ephemeral.public)
                self._mix_ephemeral(self._ephemeral.public)
            elif token is Token.S:
                parts.append(self._symmetric.encrypt_and_hash(self._own_static().public))
            else:
                self._mix(token)
        return b"".join(parts)

    def end_write(self, payload: bytes) -> bytes:
        """Return the encrypted payload that completes the message `begin_write` began."""
        self._step += 1
        return self._symmetric.encrypt_and_hash(payload)

    def read(self, message: bytes) -> bytes:
        """Return the payload of the other side's next message.

        Raises:
            HandshakeError: the message is too short, was changed or belongs elsewhere. The
                handshake is over then.
        """
        return self.end_read(self.begin_read(message))

    def begin_read(self, message: bytes) -> bytes:
        """Process the keys of the next message; returns its sealed payload for `end_read`.

        Between the two, `transcript` is what the other side saw between `begin_write` and
        `end_write`. Raises as `read` does.
        """
        if self.finished or self.is_my_turn:
            raise NoiseUsageError("It is not the other side's turn in the handshake.")
        rest = message
        for token in self._messages[self._step]:
            if token is Token.E:
                self._remote_ephemeral, rest = _cut(rest, DH_BYTES)
                self._mix_ephemeral(self._remote_ephemeral)
            elif token is Token.S:
                sealed, rest = _cut(rest, DH_BYTES + TAG_BYTES * self._symmetric.has_key)
                self.remote_static = self._open(sealed)
            else:
                self._mix(token)
        return rest

    def end_read(self, sealed: bytes) -> bytes:
        """Return the payload that `begin_read` left sealed; raises as `read` does."""
        payload = self._open(sealed)
        self._step += 1
        return payload

    def split(self) -> tuple[CipherState, CipherState]:
        """Return the ciphers (sending, receiving) of the finished handshake."""
        if not self.finished:
            raise NoiseUsageError("The handshake is not finished.")
        initiators, responders = self._symmetric.split()
        return (initiators, responders) if self._initiator else (responders, initiators)

    def _open(self, sealed: bytes) -> bytes:
        try:
            return self._symmetric.decrypt_and_hash(sealed)
        except DecryptionError:
            raise HandshakeError(
                "The other device's greeting was changed on the way or meant for someone else."
            ) from None

    def _own_static(self) -> StaticKey:
        if self._static is None:
            raise NoiseUsageError("The handshake needs this side's static key.")
        return self._static

    def _mix_ephemeral(self, public: bytes) -> None:
        self._symmetric.mix_hash(public)
        if self._has_psk:
            self._symmetric.mix_key(public)

    def _mix(self, token: Token) -> None:
        if token is Token.PSK:
            if not self._psks:
                raise NoiseUsageError("The handshake needs a pre-shared key.")
            self._symmetric.mix_key_and_hash(self._psks.pop(0))
            return
        # The first letter names the initiator's key, the second the responder's.
        mine, theirs = token.value if self._initiator else token.value[::-1]
        own = self._ephemeral if mine == "e" else self._own_static()
        other = self._remote_ephemeral if theirs == "e" else self.remote_static
        if own is None or other is None:
            raise NoiseUsageError("The handshake lacks a key that its pattern needs.")
        self._symmetric.mix_key(own.exchange(other))

    def __repr__(self) -> str:
        return f"Handshake(initiator={self._initiator}, step={self._step}/{len(self._messages)})"


def _cut(data: bytes, length: int) -> tuple[bytes, bytes]:
    if len(data) < length:
        raise HandshakeError("The other device's greeting is too short.")
    return data[:length], data[length:]
