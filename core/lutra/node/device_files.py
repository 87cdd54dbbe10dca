"""Pairing by files, for devices that never meet: what each side keeps between the steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from lutra.codec import decode, encode
from lutra.errors import LutraError, UsageError
from lutra.identity.errors import PairingFileError, PairingStateError
from lutra.identity.pairing_files import Offer, Offering, Request, Requesting
from lutra.identity.pairing_messages import Choice
from lutra.identity.pairing_table import Role
from lutra.node.device_views import OfferView, RequestView
from lutra.node.pairing_desk import Desk, Entrance
from lutra.operation import Operation

_OFFERING, _REQUESTING = "pairing_offer", "pairing_request"
_RECORD_BYTES = 16 * 1024 * 1024
_BOTH = 2
"""Fields of a record that holds two offers; those of one, or of its answer, have more."""


@dataclass(frozen=True, slots=True)
class _Answered:
    """What takes the place of an offer once it was answered: a response may get lost on its way."""

    request: bytes
    asked: RequestView
    response: bytes

    def store(self) -> bytes:
        """Return the bytes to keep, for the encrypted store only."""
        asked = self.asked
        shown = [asked.digits, asked.person_name, asked.device_name]
        return encode([self.request, shown, self.response])

    @classmethod
    def restore(cls, stored: bytes) -> _Answered | None:
        """Take up what `store` returned; None if it is an offer still."""
        fields = decode(stored, max_bytes=_RECORD_BYTES)
        if len(fields) != 3:
            return None
        request, shown, response = fields
        return cls(request, RequestView(*shown), response)


class DeviceFiles:
    """Both sides of pairing by files; each has one offer or request open at a time.

    Args:
        desk: the profile.
        changed: called when this device became one of the person's.
    """

    def __init__(self, desk: Desk, changed: Callable[[], None] = lambda: None) -> None:
        self._desk = desk
        self._changed = changed
        self._record = asyncio.Lock()
        """Held from reading the record of offers until it is changed: steps may come at once."""

    # On the existing device

    async def offer(self, *, link: bool = False) -> OfferView:
        """Make an offer; an earlier one that was not answered is withdrawn.

        A link withdraws it at once. A file may still get lost: the earlier offer stays valid
        beside the new one until `offer_saved`, or until either is answered.

        Args:
            link: as a link, which must be passed on unseen and needs no comparison.

        Raises:
            LutraError: this device cannot take in others.
        """
        offering = Offering.make(await self._desk.card(Role.EXISTING), link=link)
        made = offering.store()
        async with self._record:
            offers = await self._offers()
            beside = offers and not link
            await self._desk.save(encode([offers[0], made]) if beside else made, _OFFERING)
        offer = offering.offer
        return OfferView(offer.link() if link else "", b"" if link else offer.file())

    async def offer_saved(self, content: bytes) -> None:
        """Withdraw the earlier offer: the file of the new one is safe.

        Args:
            content: the file's.

        Raises:
            PairingStateError: it is not the latest offer's; nothing is withdrawn.
            PairingFileError: it is no offer.
        """
        saved = Offer.of_file(content)
        async with self._record:
            offers = await self._offers()
            latest = offers[-1] if offers else None
            if (
                latest is None
                or _Answered.restore(latest)
                or Offering.restore(latest).offer != saved
            ):
                raise PairingStateError("Another offer was made meanwhile. Use that one.")
            await self._desk.save(latest, _OFFERING)

    async def read_request(self, content: bytes) -> RequestView:
        """Open a request, to show its digits before it is answered.

        Raises:
            PairingStateError: this device made no offer.
            PairingFileError: it is damaged, was changed, or answers another offer.
        """
        found = await self._offer_of(content)
        return found.asked if isinstance(found, _Answered) else _view(found[1])

    async def respond(self, content: bytes, *, same_digits: bool = False) -> bytes:
        """Add the device that asks, and return the response to bring to it.

        The same request gets the same response again, until another offer is made.

        Args:
            content: the request.
            same_digits: the person says that both devices show the same digits.

        Raises:
            PairingStateError: this device made no offer, or the digits were not compared.
            PairingFileError: the request is damaged, was changed, or answers another offer.
            DeviceKnownError: the device was one of the person's before.
        """
        async with self._record:
            return await self._respond(content, same_digits=same_digits)

    async def _respond(self, content: bytes, *, same_digits: bool) -> bytes:
        found = await self._offer_of(content)
        asked = found.asked if isinstance(found, _Answered) else _view(found[1])
        if asked.digits and not same_digits:
            raise PairingStateError("Compare the digits on both devices first.")
        if isinstance(found, _Answered):
            return found.response
        offering, request = found
        responses: list[bytes] = []

        def finish(operations: tuple[Operation, ...], given: bytes) -> bytes:
            responses.append(offering.respond(request, operations, hand_over=given))
            return _Answered(content, asked, responses[0]).store()

        await self._desk.admit(request.consent, request.card, request.merged, finish, _OFFERING)
        return responses[0]

    async def _offers(self) -> tuple[bytes, ...]:
        """Return the offer to be answered, or the earlier one and one that may not be saved yet."""
        stored = await self._desk.load(_OFFERING)
        if stored is None:
            return ()
        fields = decode(stored, max_bytes=_RECORD_BYTES)
        return tuple(fields) if len(fields) == _BOTH else (stored,)

    async def _offer_of(self, content: bytes) -> _Answered | tuple[Offering, Request]:
        """Find which offer a request answers, or has answered; raises as `read_request` does."""
        refusal: LutraError = PairingStateError(
            "This device has made no offer that could be answered."
        )
        for stored in reversed(await self._offers()):
            answered = _Answered.restore(stored)
            if answered is None:
                offering = Offering.restore(stored)
                try:
                    return offering, offering.read(content)
                except PairingFileError as error:
                    refusal = error
            elif answered.request == content:
                return answered
            else:
                refusal = PairingStateError("Your offer was answered already. Make another one.")
        raise refusal

    # On the new device

    async def request(self, offered: bytes | str, *, merge: bool = False) -> RequestView:
        """Answer an offer with a request, to be brought to the existing device.

        The same offer gets the same request again, which may be on its way already.

        Args:
            offered: the offer's file or its link.
            merge: an identity that is here is to become part of the person.

        Raises:
            PairingFileError, PairingCodeError: it is no offer, or damaged.
            UsageError: there is an identity here, and nothing was said about it.
        """
        offer = Offer.of_link(offered) if isinstance(offered, str) else Offer.of_file(offered)
        card = await self._desk.card(Role.NEW)
        if (card.person is not None) is not merge:
            raise UsageError(
                "This device has an identity already. Say that it is to be merged, or pair under "
                "a new profile to keep it separate."
                if card.person is not None
                else "There is no identity here that could be merged."
            )
        merged = await self._desk.identity() if merge else ()
        requesting = await self._asked_before(offer, card.device, merged)
        if requesting is None:
            choice = Choice.MERGE if merge else Choice.NONE
            requesting = Requesting.make(offer, card, self._desk.key, choice=choice, merged=merged)
            await self._desk.save(requesting.store(), _REQUESTING)
        return RequestView(
            requesting.digits or "", card.person_name, card.device_name, requesting.request
        )

    async def _asked_before(
        self, offer: Offer, device: bytes, merged: tuple[Operation, ...]
    ) -> Requesting | None:
        stored = await self._desk.load(_REQUESTING)
        if stored is None:
            return None
        before = Requesting.restore(stored)
        asked = before.offer, before.card.device, before.agreed.merged
        return before if asked == (offer, device, merged) else None

    async def digits(self) -> str:
        """Return the digits of the request that is open; empty where none are needed.

        Raises:
            PairingStateError: this device made no request.
        """
        return (await self._requesting()).digits or ""

    async def accept(self, response: bytes, *, same_digits: bool = False) -> tuple[bytes, ...]:
        """Become a device of the person, by its response.

        Args:
            response: the file's content.
            same_digits: the person says that both devices showed the same digits.

        Returns:
            The groups that this device stays in under its earlier identity.

        Raises:
            PairingStateError: this device made no request, or the digits were not compared.
            PairingFileError: it is damaged, was changed, or answers another request.
            MalformedError: what was handed over has not its form; nothing was changed.
        """
        requesting = await self._requesting()
        opened = requesting.read(response, same_digits=same_digits)
        entrance = Entrance(
            requesting.agreed.choice, opened.card, opened.operations, opened.hand_over, ""
        )
        separate = await self._desk.enter(entrance, _REQUESTING)
        self._changed()
        return separate

    async def _requesting(self) -> Requesting:
        stored = await self._desk.load(_REQUESTING)
        if stored is None:
            raise PairingStateError("This device has made no request that could be answered.")
        return Requesting.restore(stored)


def _view(request: Request) -> RequestView:
    return RequestView(request.digits or "", request.card.person_name, request.card.device_name)
