"""Group context, transcript hashes, PSK secret and key schedule (RFC 9420 §8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from lutra.crypto.random import Random
from lutra.errors import MalformedError
from lutra.mls.codec import Reader, u16, u64, vector
from lutra.mls.errors import DeletedSecretError, MlsMalformedError, UnsupportedError
from lutra.mls.leaf import PROTOCOL_MLS10, Extensions, decode_extensions, encode_extensions
from lutra.mls.proposals import PreSharedKeyId
from lutra.mls.suites import CipherSuite


@dataclass(frozen=True, slots=True)
class GroupContext:
    """What all members agree on in an epoch (§8.1).

    Attributes:
        encoded: the GroupContext as it is signed and hashed.
    """

    suite_id: int
    group_id: bytes
    epoch: int
    tree_hash: bytes
    confirmed_transcript_hash: bytes
    extensions: Extensions
    encoded: bytes = field(repr=False)

    @classmethod
    def create(
        cls,
        suite_id: int,
        group_id: bytes,
        epoch: int,
        *,
        tree_hash: bytes,
        confirmed_transcript_hash: bytes,
        extensions: Extensions = (),
    ) -> GroupContext:
        """Make a GroupContext and its encoding."""
        encoded = b"".join(
            (
                u16(PROTOCOL_MLS10),
                u16(suite_id),
                vector(group_id),
                u64(epoch),
                vector(tree_hash),
                vector(confirmed_transcript_hash),
                encode_extensions(extensions),
            )
        )
        return cls(
            suite_id, group_id, epoch, tree_hash, confirmed_transcript_hash, extensions, encoded
        )

    @classmethod
    def decode(cls, reader: Reader) -> GroupContext:
        """Decode a GroupContext."""
        start = reader.position
        version = reader.u16()
        if version != PROTOCOL_MLS10:
            raise UnsupportedError("A group uses another version of MLS.", "8.1", version=version)
        return cls(
            reader.u16(),
            reader.vector(),
            reader.u64(),
            reader.vector(),
            reader.vector(),
            decode_extensions(reader),
            reader.since(start),
        )


def confirmed_transcript_hash(suite: CipherSuite, interim_before: bytes, commit: bytes) -> bytes:
    """Hash a commit into the transcript (§8.2).

    Args:
        suite: the group's suite.
        interim_before: interim transcript hash of the epoch the commit was sent in.
        commit: ConfirmedTranscriptHashInput: wire format, content and signature.
    """
    return suite.hash(interim_before + commit)


def interim_transcript_hash(suite: CipherSuite, confirmed: bytes, tag: bytes) -> bytes:
    """Hash a confirmation tag into the transcript (§8.2)."""
    return suite.hash(confirmed + vector(tag))


def psk_secret(suite: CipherSuite, psks: Sequence[tuple[PreSharedKeyId, bytes]]) -> bytes:
    """Chain pre-shared keys into the ``psk_secret`` (§8.4); all zero if there are none.

    Raises:
        MlsMalformedError: there are more than the chain can count.
    """
    if len(psks) > 0xFFFF:
        raise MlsMalformedError("A message names too many pre-shared keys.", "8.4")
    secret = suite.zero
    count = u16(len(psks))
    for index, (psk_id, psk) in enumerate(psks):
        extracted = suite.extract(suite.zero, psk)
        label = psk_id.encode() + u16(index) + count
        derived = suite.expand_with_label(extracted, b"derived psk", label, suite.hash_bytes)
        secret = suite.extract(derived, secret)
    return secret


@dataclass(frozen=True, slots=True)
class EpochSecrets:
    """The secrets of an epoch that are kept (§8, table 4); ``None`` where deleted.

    The secret tree takes over the encryption secret, and the epoch secret itself, joiner secret
    and welcome secret are not kept at all.
    """

    sender_data: bytes | None = field(repr=False)
    exporter: bytes | None = field(repr=False)
    external: bytes | None = field(repr=False)
    confirmation_key: bytes | None = field(repr=False)
    membership_key: bytes | None = field(repr=False)
    resumption_psk: bytes | None = field(repr=False)
    epoch_authenticator: bytes = field(repr=False)
    init: bytes | None = field(repr=False)

    def need(self, name: str) -> bytes:
        """Return a secret by attribute name.

        Raises:
            DeletedSecretError: it was deleted from this state.
        """
        secret: bytes | None = getattr(self, name)
        if secret is None:
            raise DeletedSecretError(
                "A secret of this epoch was deleted and cannot be used any more.", "8", name=name
            )
        return secret

    def without(self, names: Sequence[str]) -> EpochSecrets:
        """Return the same secrets with some deleted."""
        gone: dict[str, None] = dict.fromkeys(names)
        return replace(self, **gone)


@dataclass(frozen=True, slots=True)
class KeySchedule:
    """Everything derived on entering an epoch (§8).

    Attributes:
        joiner: joiner secret, for Welcome messages; not kept.
        welcome: welcome secret; not kept.
        encryption: root of the secret tree; not kept beside it.
        secrets: what stays.
    """

    joiner: bytes = field(repr=False)
    welcome: bytes = field(repr=False)
    encryption: bytes = field(repr=False)
    secrets: EpochSecrets


def joiner_secret(suite: CipherSuite, init: bytes, commit: bytes, context: GroupContext) -> bytes:
    """Derive the joiner secret of an epoch (§8)."""
    extracted = suite.extract(init, commit)
    return suite.expand_with_label(extracted, b"joiner", context.encoded, suite.hash_bytes)


def welcome_secret(suite: CipherSuite, joiner: bytes, psk: bytes) -> bytes:
    """Derive the welcome secret from joiner and PSK secret (§8)."""
    return suite.derive_secret(suite.extract(joiner, psk), b"welcome")


def welcome_key_nonce(suite: CipherSuite, welcome: bytes) -> tuple[bytes, bytes]:
    """Derive key and nonce of the encrypted GroupInfo (§12.4.3.1)."""
    key = suite.expand_with_label(welcome, b"key", b"", suite.key_bytes)
    return key, suite.expand_with_label(welcome, b"nonce", b"", 12)


def schedule_from_joiner(
    suite: CipherSuite, joiner: bytes, psk: bytes, context: GroupContext
) -> KeySchedule:
    """Run the key schedule from the joiner secret on (§8)."""
    member = suite.extract(joiner, psk)
    epoch = suite.expand_with_label(member, b"epoch", context.encoded, suite.hash_bytes)
    welcome = suite.derive_secret(member, b"welcome")
    return _schedule(suite, joiner, welcome, epoch)


def schedule_from_epoch_secret(suite: CipherSuite, epoch_secret: bytes) -> KeySchedule:
    """Derive the secrets of epoch 0 from its random epoch secret (§11)."""
    return _schedule(suite, b"", b"", epoch_secret)


def _schedule(suite: CipherSuite, joiner: bytes, welcome: bytes, epoch: bytes) -> KeySchedule:
    derive = suite.derive_secret
    secrets = EpochSecrets(
        sender_data=derive(epoch, b"sender data"),
        exporter=derive(epoch, b"exporter"),
        external=derive(epoch, b"external"),
        confirmation_key=derive(epoch, b"confirm"),
        membership_key=derive(epoch, b"membership"),
        resumption_psk=derive(epoch, b"resumption"),
        epoch_authenticator=derive(epoch, b"authentication"),
        init=derive(epoch, b"init"),
    )
    return KeySchedule(joiner, welcome, derive(epoch, b"encryption"), secrets)


def export_secret(
    suite: CipherSuite, exporter: bytes, label: bytes, context: bytes, length: int
) -> bytes:
    """MLS-Exporter (§8.5)."""
    derived = suite.derive_secret(exporter, label)
    return suite.expand_with_label(derived, b"exported", suite.hash(context), length)


_EXTERNAL_INIT_LABEL = b"MLS 1.0 external init secret"


def external_init_sender(
    suite: CipherSuite, external_pub: bytes, random: Random
) -> tuple[bytes, bytes]:
    """Return (KEM output, init secret) for an external commit (§8.3).

    Raises:
        MlsMalformedError: ``external_pub`` is no key of this suite.
    """
    try:
        kem_output, context = suite.hpke.setup_sender(external_pub, b"", random)
    except MalformedError as error:
        raise MlsMalformedError(error.message, "8.3") from None
    return kem_output, context.export(_EXTERNAL_INIT_LABEL, suite.hash_bytes)


def external_init_receiver(suite: CipherSuite, external: bytes, kem_output: bytes) -> bytes:
    """Return the init secret that an ExternalInit proposal carries (§8.3).

    Raises:
        MlsMalformedError: ``kem_output`` is no encapsulated key of this suite.
    """
    private, public = suite.hpke.derive_key_pair(external)
    try:
        context = suite.hpke.setup_receiver(kem_output, private, b"", public)
    except MalformedError as error:
        raise MlsMalformedError(error.message, "8.3") from None
    return context.export(_EXTERNAL_INIT_LABEL, suite.hash_bytes)
