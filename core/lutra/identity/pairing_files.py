"""Pairing by files, for devices that never meet: an offer, a request, a response.

The existing device makes an *offer*. As a link or QR code it carries a 128-bit secret, and must be
passed on unseen; as a file it carries a one-time HPKE key, may be seen by anybody, and both persons
have to compare 25 digits later. The new device writes a *request*, sealed under one or the other:
who it is, its consent to the claim that the offer names (the hash of person and nonce), and a
one-time HPKE key. The existing device adds it and writes a *response*, sealed to that key: the
person's device log. Files look random; names and keys are inside.

The digits cannot be ground: they are a hash of offer and request long enough (83 bits) that nobody
finds another request with the same ones. They must be compared *before* the response is used.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from lutra.codec import decode, encode
from lutra.crypto.aead import seal, unseal
from lutra.crypto.hashing import blake3_derive, equal_constant_time
from lutra.crypto.hpke import HYBRID
from lutra.crypto.random import Random, system_random
from lutra.crypto.signing import SigningKey, is_signature
from lutra.errors import MalformedError, RemoteError
from lutra.identity.device_log import Consent, claim_of, sign_claim
from lutra.identity.errors import PairingCodeError, PairingFileError, PairingStateError
from lutra.identity.pairing_checks import check_admission, check_agreement
from lutra.identity.pairing_messages import (
    MAX_FRAME_BYTES,
    Agreement,
    Card,
    Choice,
    as_list,
    operation_rows,
    read_operations,
    sized,
)
from lutra.identity.pairing_table import Role
from lutra.operation import Operation

LINK_PREFIX = "lutra:pair-file/"
_SECRET_BYTES = 16
_CLAIM_BYTES = 32
_SUM_BYTES = 2
_DIGIT_GROUPS = 5
_REQUEST = b"lutra pairing request v1"
_RESPONSE = b"lutra pairing response v1"
_CARD = b"lutra pairing request card v1\0"


@dataclass(frozen=True, slots=True)
class Offer:
    """What the existing device passes on first.

    Attributes:
        claim: what the new device will consent to.
        secret: 128 bits, in a link; None in a file.
        sealing_key: one-time HPKE public key, in a file; empty in a link.
    """

    claim: bytes
    secret: bytes | None
    sealing_key: bytes

    def link(self) -> str:
        """Return the link or QR payload; raises `PairingStateError` for an offer in a file."""
        if self.secret is None:
            raise PairingStateError("This offer is a file, not a link.")
        payload = self.secret + self.claim
        return LINK_PREFIX + base64.b32encode(payload + _sum(payload)).decode().rstrip("=").lower()

    def file(self) -> bytes:
        """Return the file's bytes; raises `PairingStateError` for an offer in a link."""
        if self.secret is not None:
            raise PairingStateError("This offer is a link, not a file.")
        return self.claim + self.sealing_key

    @classmethod
    def of_link(cls, text: str) -> Offer:
        """Read a link; raises `PairingCodeError`."""
        letters = text.strip()
        known = letters.lower().startswith(LINK_PREFIX)
        letters = letters[len(LINK_PREFIX) :].upper()
        try:
            raw = base64.b32decode(letters + "=" * (-len(letters) % 8)) if known else b""
        except ValueError:
            raw = b""
        payload = raw[:-_SUM_BYTES]
        right = len(payload) == _SECRET_BYTES + _CLAIM_BYTES
        if not right or not equal_constant_time(_sum(payload), raw[-_SUM_BYTES:]):
            raise PairingCodeError("This pairing link is not complete or has a typing mistake.")
        return cls(payload[_SECRET_BYTES:], payload[:_SECRET_BYTES], b"")

    @classmethod
    def of_file(cls, data: bytes) -> Offer:
        """Read a file; raises `PairingFileError`."""
        try:
            HYBRID.kem.check_public_key(data[_CLAIM_BYTES:])
        except MalformedError:
            raise PairingFileError("This file is not a pairing offer, or it is damaged.") from None
        return cls(data[:_CLAIM_BYTES], None, data[_CLAIM_BYTES:])

    def digest(self) -> bytes:
        """Return what names the offer; it does not tell the secret."""
        named = encode([self.claim, self.sealing_key, self.secret])
        return blake3_derive("lutra pairing offer v1", named)

    def __repr__(self) -> str:
        return "Offer(…)"


@dataclass(frozen=True, slots=True)
class Offering:
    """The existing device's side; keep it, secret, until there is a response, then drop it."""

    card: Card
    offer: Offer
    private_key: bytes

    @classmethod
    def make(cls, card: Card, *, link: bool, random: Random = system_random) -> Offering:
        """Make an offer of the device that ``card`` introduces."""
        if card.role is not Role.EXISTING or card.person is None:
            raise PairingStateError("Only a device of a person can take in another one.")
        claim = claim_of(card.person, card.nonce)
        if link:
            return cls(card, Offer(claim, random(_SECRET_BYTES), b""), b"")
        private, public = HYBRID.generate_key_pair(random)
        return cls(card, Offer(claim, None, public), private)

    def store(self) -> bytes:
        """Return the bytes to keep, for the encrypted store only."""
        offer = self.offer
        return encode(
            [self.card.encode(), offer.claim, offer.secret, offer.sealing_key, self.private_key]
        )

    @classmethod
    def restore(cls, stored: bytes) -> Offering:
        """Take up what `store` returned."""
        card, claim, secret, sealing_key, private = as_list(decode(stored), 5)
        return cls(Card.decode(card), Offer(claim, secret, sealing_key), private)

    def read(self, request: bytes) -> Request:
        """Open a request.

        Raises:
            PairingFileError: it is damaged, was changed, or answers another offer.
        """
        try:
            return self._read(request)
        except RemoteError as error:
            raise PairingFileError(
                "This file is not a request that answers your offer, or it was changed on the way."
            ) from error

    def _read(self, request: bytes) -> Request:
        if self.offer.secret is not None:
            plaintext = unseal(_key(self.offer.secret, _REQUEST), request, self.offer.digest())
        else:
            size = HYBRID.kem.enc_bytes
            enc, sealed = request[:size], request[size:]
            digest = self.offer.digest()
            plaintext = HYBRID.open(self.private_key, enc, _REQUEST, digest, sealed)
        fields = as_list(decode(plaintext, max_bytes=MAX_FRAME_BYTES, max_depth=4), 4)
        encoded, signature = sized(fields[0], -1), sized(fields[1], 64)
        card = Card.decode(encoded)
        agreed = Agreement.read(as_list(fields[2], 4))
        HYBRID.kem.check_public_key(sized(fields[3], -1))
        signed = _CARD + self.offer.digest() + encoded
        if card.role is not Role.NEW or not is_signature(card.device, signed, signature):
            raise PairingFileError("The new device did not prove its key.")
        check_agreement(agreed, self.card, card)
        consent = Consent(agreed.device, self.card.nonce, agreed.signature)
        digits = _digits(self.offer, request) if self.offer.secret is None else None
        return Request(card, consent, agreed.choice, agreed.merged, digits, fields[3], _of(request))

    def respond(
        self,
        request: Request,
        operations: Sequence[Operation],
        random: Random = system_random,
        hand_over: bytes = b"",
    ) -> bytes:
        """Return the response, after `Person.add` with the request's consent.

        Call it only once the person has said that both devices show the request's digits, if any.

        Args:
            request: what is answered.
            operations: the person's device log.
            random: source of the sealing's randomness.
            hand_over: what the new device is to get with the log; secret.
        """
        plaintext = encode([self.card.encode(), operation_rows(operations), hand_over])
        enc, sealed = HYBRID.seal(request.reply_key, _RESPONSE, request.digest, plaintext, random)
        response = enc + sealed
        if self.offer.secret is None:
            return response
        return seal(_key(self.offer.secret, _RESPONSE), response, request.digest, random)

    def __repr__(self) -> str:
        return "Offering(…)"


@dataclass(frozen=True, slots=True)
class Request:
    """An opened request.

    Attributes:
        card: how the new device introduces itself.
        consent: what `Person.add` needs.
        choice: what becomes of an identity it has.
        merged: for `Choice.MERGE`, that identity's operations.
        digits: what both persons compare; None if a link's secret made that unnecessary.
        reply_key: what the response is sealed to.
        digest: names the request.
    """

    card: Card
    consent: Consent
    choice: Choice
    merged: tuple[Operation, ...]
    digits: str | None
    reply_key: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """An opened response.

    Attributes:
        card: how the existing device introduces itself.
        operations: the person's device log, verified.
        hand_over: what the existing device gave with it; secret.
    """

    card: Card
    operations: tuple[Operation, ...]
    hand_over: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Requesting:
    """The new device's side; keep it, secret, until the response is read, then drop it."""

    card: Card
    offer: Offer
    agreed: Agreement
    private_key: bytes
    request: bytes

    @classmethod
    def make(
        cls,
        offer: Offer,
        card: Card,
        key: SigningKey,
        *,
        choice: Choice = Choice.NONE,
        separate_key: SigningKey | None = None,
        merged: Sequence[Operation] = (),
        random: Random = system_random,
    ) -> Requesting:
        """Write a request; arguments as for `Pairing.accept`."""
        signer = key if separate_key is None else separate_key
        consent = sign_claim(signer, offer.claim)
        agreed = Agreement(choice, signer.public, consent, tuple(merged))
        private, public = HYBRID.generate_key_pair(random)
        signature = key.sign(_CARD + offer.digest() + card.encode())
        plaintext = encode([card.encode(), signature, agreed.fields()[1:], public])
        if offer.secret is not None:
            request = seal(_key(offer.secret, _REQUEST), plaintext, offer.digest(), random)
        else:
            enc, sealed = HYBRID.seal(
                offer.sealing_key, _REQUEST, offer.digest(), plaintext, random
            )
            request = enc + sealed
        return cls(card, offer, agreed, private, request)

    @property
    def digits(self) -> str | None:
        """What both persons compare; None if a link's secret makes that unnecessary."""
        return _digits(self.offer, self.request) if self.offer.secret is None else None

    def store(self) -> bytes:
        """Return the bytes to keep, for the encrypted store only."""
        offer = [self.offer.claim, self.offer.secret, self.offer.sealing_key]
        agreed = self.agreed.fields()[1:]
        return encode([self.card.encode(), offer, agreed, self.private_key, self.request])

    @classmethod
    def restore(cls, stored: bytes) -> Requesting:
        """Take up what `store` returned."""
        card, offer, agreed, private, request = as_list(decode(stored), 5)
        fields = cast("list[Any]", offer)
        return cls(Card.decode(card), Offer(*fields), Agreement.read(agreed), private, request)

    def read(self, response: bytes, *, same_digits: bool) -> Response:
        """Open the response.

        Args:
            response: the file's bytes.
            same_digits: the person says that both devices showed the same; needed for an offer
                that was a file.

        Raises:
            PairingStateError: the digits were not compared.
            PairingFileError: it is damaged, was changed, or answers another request.
        """
        if self.offer.secret is None and not same_digits:
            raise PairingStateError("Compare the digits on both devices first.")
        try:
            return self._read(response)
        except RemoteError as error:
            raise PairingFileError(
                "This file does not answer your request, or it was changed on the way."
            ) from error

    def _read(self, response: bytes) -> Response:
        digest = _of(self.request)
        if self.offer.secret is not None:
            response = unseal(_key(self.offer.secret, _RESPONSE), response, digest)
        size = HYBRID.kem.enc_bytes
        enc, sealed = response[:size], response[size:]
        plaintext = HYBRID.open(self.private_key, enc, _RESPONSE, digest, sealed)
        fields = as_list(decode(plaintext, max_bytes=MAX_FRAME_BYTES, max_depth=4), 3)
        card, operations = Card.decode(sized(fields[0], -1)), read_operations(fields[1])
        hand_over = sized(fields[2], -1)
        if card.person is None or claim_of(card.person, card.nonce) != self.offer.claim:
            raise PairingFileError("The answer is not from the person who made the offer.")
        check_admission(operations, self.card, card, self.agreed)
        return Response(card, operations, hand_over)

    def __repr__(self) -> str:
        return "Requesting(…)"


def _digits(offer: Offer, request: bytes) -> str:
    named = blake3_derive("lutra pairing file digits v1", offer.digest() + request)
    number = int.from_bytes(named, "big") % 10 ** (5 * _DIGIT_GROUPS)
    digits = f"{number:0{5 * _DIGIT_GROUPS}}"
    return " ".join(digits[start : start + 5] for start in range(0, len(digits), 5))


def _of(request: bytes) -> bytes:
    return blake3_derive("lutra pairing request digest v1", request)


def _key(secret: bytes, purpose: bytes) -> bytes:
    return blake3_derive("lutra pairing file key v1", secret + purpose)


def _sum(payload: bytes) -> bytes:
    return blake3_derive("lutra pairing file link check sum v1", payload)[:_SUM_BYTES]
