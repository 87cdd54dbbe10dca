"""What each side of a pairing demands of the other's introduction, agreement and admission.

All functions raise `RemoteError` subclasses.
"""

from __future__ import annotations

from lutra.crypto.signing import is_signature
from lutra.identity.device_log import Consent
from lutra.identity.pairing_keys import SessionKeys
from lutra.identity.pairing_messages import Agreement, Card, Choice, PairingMessageError, sized
from lutra.identity.pairing_table import Role, Side
from lutra.identity.person import Person
from lutra.operation import Operation


def check_card(
    fields: list[object], sender: Side, keys: SessionKeys, own: Card
) -> tuple[Card, bytes]:
    """Return the other device's card and what opens its commitment (empty if it made none)."""
    encoded, blinding, signature = (sized(item, -1) for item in fields)
    card = Card.decode(encoded)
    proven = is_signature(card.device, keys.signed(sender, encoded), signature)
    if card.device == own.device or not proven:
        raise PairingMessageError("The other device did not prove its key.")
    if len(blinding) != (32 if sender is Side.ENTERS else 0):
        raise PairingMessageError("A pairing message has not its form.")
    if sender is Side.ENTERS and not keys.commits_to(encoded, blinding):
        raise PairingMessageError("The other device is not the one it was when it began.")
    return card, blinding


def check_agreement(agreed: Agreement, own: Card, peer: Card | None) -> None:
    """Check what the new device agrees to, on the existing device."""
    if peer is None or own.role is not Role.EXISTING or own.person is None:
        raise PairingMessageError("A pairing message came out of its turn.")
    separate = agreed.choice is Choice.KEEP_SEPARATE
    if (agreed.device == peer.device) is separate or agreed.device == own.device:
        raise PairingMessageError("The other device wants another key to be added.")
    if (agreed.choice is Choice.NONE) is not (peer.person is None):
        raise PairingMessageError("The other device chose what it cannot choose.")
    if (agreed.choice is Choice.MERGE) is not bool(agreed.merged):
        raise PairingMessageError("The other device chose what it cannot choose.")
    brought = Person(peer.person, agreed.merged) if agreed.merged and peer.person else None
    if brought is not None and peer.device not in brought.state.active():
        raise PairingMessageError("The other device is not of the person it brings along.")
    Consent(agreed.device, own.nonce, agreed.signature).check(own.person)


def check_admission(
    operations: tuple[Operation, ...], own: Card, peer: Card | None, agreed: Agreement | None
) -> None:
    """Check, on the new device, that the person's device log holds both devices."""
    if own.role is not Role.NEW or peer is None or peer.person is None or agreed is None:
        raise PairingMessageError("A pairing message came out of its turn.")
    devices = Person(peer.person, operations).state.active()
    if not {agreed.device, peer.device} <= devices:
        raise PairingMessageError("The other device did not add this one.")
