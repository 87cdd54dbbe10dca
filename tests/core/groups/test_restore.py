"""The restoring exchange: proofs, liars, and frames out of their place."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from core.identity.people import key, new_person
from lutra.codec import decode, encode
from lutra.errors import NotPermittedError, RemoteError, SignatureError
from lutra.groups.directory import evidence_of
from lutra.groups.errors import KitWithdrawnError, RestoreRefusedError
from lutra.groups.restore import (
    Given,
    KnownKit,
    Restoration,
    RestoreChannel,
    Restorer,
    Witness,
)
from lutra.identity.person import Person
from lutra.identity.recovery import RecoveryKit

KIT = RecoveryKit(bytes(range(16)))
NEW, OLD = key(9), key(1)
HASH = b"h" * 32
MADE = b"c" * 32
"""The key that the knowing device made for the connection."""


def channel(
    handshake: bytes = HASH, restoring: bytes = NEW.public, knowing: bytes = MADE
) -> RestoreChannel:
    return RestoreChannel(handshake, restoring, knowing)


def person_with_kit() -> Person:
    person = new_person()
    person.add_recovery(OLD, KIT.consent(person.id, bytes), 1)
    return person


def admit_all(person: bytes, device: bytes, evidence: Sequence[bytes]) -> Given:
    del person, evidence
    return Given(OLD.public, b"s" * 32, (b"one", b"two"))


def witness(
    person: Person,
    *,
    handshake: bytes = HASH,
    active: bool = True,
    admit: Callable[[bytes, bytes, Sequence[bytes]], Given] = admit_all,
) -> Witness:
    return Witness(
        OLD,
        channel(handshake),
        kits=[
            KnownKit(RecoveryKit(bytes(16)).key.public, bytes(32), True),
            KnownKit(KIT.key.public, person.id, active),
        ],
        evidence=lambda _: evidence_of(person.operations()),
        admit=admit,
    )


def restoration(kit: RecoveryKit = KIT, *, remove_lost: bool = False) -> Restoration:
    return Restoration(kit, NEW, time=5, remove_lost=remove_lost)


def run(restorer: Restorer, knowing: Witness) -> Given:
    frames = [restorer.start()]
    while frames:
        answers = [answer for frame in frames for answer in knowing.receive(frame)]
        frames = [reply for one in answers if (reply := restorer.receive(one)) is not None]
    assert restorer.given is not None
    return restorer.given


def test_the_whole_exchange() -> None:
    person, coming = person_with_kit(), restoration()
    given = run(Restorer(coming, channel()), witness(person))
    assert (given.secret, given.entries) == (b"s" * 32, (b"one", b"two"))
    assert coming.person is not None
    assert coming.person.state.active() == {OLD.public, NEW.public}
    assert coming.lost() == (OLD.public,)
    # A second device is asked, and the new one is not added again.
    before = coming.evidence()
    run(Restorer(coming, channel(b"i" * 32)), witness(person, handshake=b"i" * 32))
    assert coming.evidence() == before
    assert "1" * 8 not in repr(given)
    assert KIT.mark in repr(coming)


def test_lost_devices_go_in_the_same_breath() -> None:
    coming = restoration(remove_lost=True)
    run(Restorer(coming, channel()), witness(person_with_kit()))
    assert coming.person is not None
    assert coming.person.state.active() == {NEW.public}


def test_proofs_are_bound_to_kit_channel_and_both_devices() -> None:
    person = person_with_kit()
    refused = encode(["refused", "unknown"])
    good = Restorer(restoration(), channel()).start()
    assert witness(person).receive(good) != [refused]
    for frame in (
        Restorer(restoration(RecoveryKit(b"x" * 16)), channel()).start(),
        Restorer(restoration(), channel(b"i" * 32)).start(),
        Restorer(restoration(), channel(knowing=key(2).public)).start(),
        Restorer(Restoration(KIT, key(8), time=1), channel(restoring=key(8).public)).start(),
    ):
        knowing = witness(person)
        assert knowing.receive(frame) == [refused]
        assert knowing.done
        with pytest.raises(RemoteError):
            knowing.receive(good)


def test_a_withdrawn_kit() -> None:
    knowing = witness(person_with_kit(), active=False)
    with pytest.raises(KitWithdrawnError):
        run(Restorer(restoration(), channel()), knowing)
    person = person_with_kit()
    person.remove(KIT.key, KIT.key.public, 3)
    with pytest.raises(KitWithdrawnError):
        restoration().learn(evidence_of(person.operations()))


def test_a_liar_cannot_pass_off_another_person() -> None:
    for evidence in ((b"nonsense",), evidence_of(new_person().operations()), ()):
        coming = restoration()
        with pytest.raises(RestoreRefusedError):
            coming.learn(evidence)
        assert coming.person is None
    # A kit's consent names one person: another one's log cannot use it.
    other, honest = new_person(2), person_with_kit()
    with pytest.raises(SignatureError):
        other.add_recovery(key(2), KIT.consent(honest.id, bytes), 1)
    coming = restoration()
    with pytest.raises(RestoreRefusedError):
        coming.learn((*evidence_of(other.operations()), *evidence_of(honest.operations())))
    assert coming.person is None


def test_refusals_and_frames_out_of_place() -> None:
    def refuse(person: bytes, device: bytes, evidence: Sequence[bytes]) -> Given:
        raise NotPermittedError("no")

    person = person_with_kit()
    with pytest.raises(RestoreRefusedError):
        run(Restorer(restoration(), channel()), witness(person, admit=refuse))
    with pytest.raises(RemoteError):
        witness(person).receive(encode(["add", [b"x"]]))
    for frame in (
        b"",
        encode(1),
        encode(["given", None, 0, OLD.public, bytes(64)]),
        encode(["entry", b""]),
        encode([]),
    ):
        with pytest.raises(RemoteError):
            Restorer(restoration(), channel()).receive(frame)
    restorer, knowing = Restorer(restoration(), channel()), witness(person)
    (shown,) = knowing.receive(restorer.start())
    assert decode(shown)[0] == "person"
    assert restorer.receive(shown) is not None
    for frame in (
        shown,
        encode(["given", b"short", 0, OLD.public, bytes(64)]),
        encode(["given", None, -1, OLD.public, bytes(64)]),
    ):
        with pytest.raises(RemoteError):
            restorer.receive(frame)
