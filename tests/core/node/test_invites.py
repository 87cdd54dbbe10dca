"""Invites and requests on real stores: who gets in, how often, and what is left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from core.node.test_attacks import crafted
from core.node.world import Device, Meeting, World
from lutra.codec import encode
from lutra.crypto.signing import SigningKey
from lutra.errors import NotFoundError, NotPermittedError, RemoteError, UsageError
from lutra.groups.contents import COMMIT, OFFER, Offer, Profile, Role
from lutra.groups.errors import InviteError
from lutra.groups.group import Group
from lutra.groups.invite_secret import InviteSecret
from lutra.mls import Capabilities, suite_for
from lutra.node import invitations
from lutra.node.engine import Engine
from lutra.node.events import InvitesChanged, JoinChanged, JoinRequested, Trouble
from lutra.node.join_attempts import PATIENCE, Step
from lutra.store.groups import GroupRow
from lutra.store.invites import InviteRow, ShortState
from lutra.store.joins import JoinState

DAY = 24 * 3600.0


def rows(device: Device) -> list[tuple[object, ...]]:
    """Return every row of the tables that tell who is where."""
    tables = ("operations", "groups", "members", "person_operations", "join_requests", "epochs")
    return [
        tuple(row)
        for table in tables
        for row in device.store.connection.rows(f"SELECT * FROM {table}")
    ]


def otters(world: World) -> tuple[Device, bytes]:
    ana = world.add("ana")
    return ana, ana.run(lambda e: e.create_group("Otters"))


def made(device: Device, group: bytes, **options: object) -> InviteRow:
    return device.run(lambda e: e.invitations.invite(group, **options))  # type: ignore[arg-type]


def long(row: InviteRow) -> InviteSecret:
    return InviteSecret(row.secret)


def short(row: InviteRow) -> InviteSecret:
    return InviteSecret(row.short_secret, row.short_number)


def reason(device: Device) -> str:
    """Return why the last attempt of a device was refused."""
    changes = [event for event in device.events if isinstance(event, JoinChanged)]
    assert changes[-1].state == "refused"
    return changes[-1].reason


def decide(device: Device, asking: Device, *, approve: bool) -> None:
    device.run(lambda e: e.invitations.decide(asking.device, approve=approve))


def persons(device: Device, group: bytes) -> set[bytes]:
    return set(device.engine._groups.get(group).roles())


def test_an_invite_gives_the_role_it_says_to_as_many_as_it_says(world: World) -> None:
    ana, group = otters(world)
    row = made(ana, group, role=Role.READER, uses=2)
    guests = [world.add(name) for name in ("ben", "cleo", "dan")]
    steps = [Meeting(world, ana, guest).join(long(row)) for guest in guests]
    assert steps == [Step.ADMITTED, Step.ADMITTED, Step.REFUSED]
    assert "used" in reason(guests[2])
    replica = ana.engine._groups.get(group)
    roles = [replica.role_of(guest.device) for guest in guests]
    assert roles == [Role.READER, Role.READER, None]
    # One who is in asks again, because the answer was lost: it counts once.
    assert Meeting(world, ana, guests[0]).join(long(row)) is Step.ADMITTED
    assert ana.run(lambda e: e.invitations.row(row.id)).uses_left == 0


def test_a_wrong_secret_leaves_nothing_behind(world: World) -> None:
    ana, group = otters(world)
    made(ana, group)
    ben = world.add("ben")
    before = rows(ana)
    unknown = InviteSecret.generate(world.random_bytes)
    assert Meeting(world, ana, ben).join(unknown) is Step.UNPROVEN
    assert rows(ana) == before


def test_an_expired_invite_works_again_once_the_clock_is_right(world: World) -> None:
    ana, group = otters(world)
    row = made(ana, group)
    ben = world.add("ben")
    ana.skew_ms = 10 * 365 * 86_400_000
    before = rows(ana)
    assert Meeting(world, ana, ben).join(long(row)) is Step.REFUSED
    assert "expired" in reason(ben)
    assert rows(ana) == before
    ana.skew_ms = 0
    assert Meeting(world, ana, ben).join(long(row)) is Step.ADMITTED


def test_two_at_once_with_an_invite_for_one(world: World) -> None:
    ana, group = otters(world)
    row = made(ana, group)
    ben, cleo = world.add("ben"), world.add("cleo")
    meetings = [Meeting(world, ana, one) for one in (ben, cleo)]
    requests: list[bytes] = []
    for meeting in meetings:
        join = meeting.joiner.run(lambda e: e.joins.begin(long(row), ())).invite
        joining = meeting.joiner.run(
            lambda e, m=meeting, j=join: e.joins.open(j, long(row), m.channel)
        )
        meeting.joining = joining
        answer = meeting.send(joining.start())
        _, request = meeting.joiner.run(
            lambda e, j=join, m=joining, a=answer: e.joins.receive(j, long(row), m, a)
        )
        assert request is not None
        requests.append(request)
    steps = []
    for meeting, request in zip(meetings, requests, strict=True):
        assert meeting.joining is not None
        answer = meeting.send(request)
        step, _ = meeting.joiner.run(
            lambda e, m=meeting.joining, a=answer: e.joins.receive(row.id, long(row), m, a)
        )
        steps.append(step)
    assert steps == [Step.ADMITTED, Step.REFUSED]
    assert persons(ana, group) == {ana.engine.persons.id, ben.engine.persons.id}


def test_a_short_code_lets_one_in_and_is_used_up(world: World) -> None:
    ana, group = otters(world)
    row = made(ana, group, short=True, uses=5)
    ben, cleo = world.add("ben"), world.add("cleo")
    assert Meeting(world, ana, ben).join(short(row)) is Step.ADMITTED
    assert ana.run(lambda e: e.invitations.row(row.id)).short_state is ShortState.USED
    assert Meeting(world, ana, cleo).join(short(row)) is Step.UNPROVEN
    # The link goes on, and a new code can be had.
    assert Meeting(world, ana, cleo).join(long(row)) is Step.ADMITTED
    renewed = ana.run(lambda e: e.invitations.renew_short(row.id))
    assert renewed.short_state is ShortState.OPEN
    assert Meeting(world, ana, world.add("dan")).join(short(renewed)) is Step.ADMITTED


def test_one_wrong_guess_kills_a_short_code_here_and_there_and_is_shown(world: World) -> None:
    ana, group = otters(world)
    row = made(ana, group, short=True)
    mallory, ben = world.add("mallory"), world.add("ben")
    guess = replace(short(row), secret=b"\0\0\0")
    before = rows(ana)
    assert Meeting(world, ana, mallory).join(guess) is Step.REFUSED
    assert rows(ana) == before
    trouble = [event for event in ana.events if isinstance(event, Trouble)]
    assert [event.code for event in trouble] == ["invite.guessed"]
    assert "Otters" in trouble[0].message
    assert ana.run(lambda e: e.invitations.row(row.id)).short_state is ShortState.GUESSED
    ana.restart()
    assert short(row).rendezvous not in ana.run(Engine.reach).offered
    assert Meeting(world, ana, ben).join(short(row)) is Step.UNPROVEN
    # Whoever guessed does not give the code away a second time either.
    with pytest.raises(InviteError):
        mallory.run(lambda e: e.joins.begin(guess, ()))
    assert Meeting(world, ana, ben).join(long(row)) is Step.ADMITTED


def test_a_false_inviter_gets_one_guess_at_a_short_code(world: World) -> None:
    ana, group = otters(world)
    row = made(ana, group, short=True)
    mallory, ben = world.add("mallory"), world.add("ben")
    trap = mallory.run(lambda e: e.create_group("Trap"))
    theirs = made(mallory, trap, short=True)
    # Mallory answers for the same number with other words.
    mallory.run(
        lambda e: e._context.store.invites.put(replace(theirs, short_number=row.short_number))
    )
    assert Meeting(world, mallory, ben).join(short(row)) is Step.REFUSED
    assert ben.run(lambda e: e.joins.active()) == []
    assert ben.run(lambda e: e.joins.list())[0].state is JoinState.REFUSED
    with pytest.raises(InviteError):
        Meeting(world, ana, ben).join(short(row))
    assert ben.run(Engine.group_ids) == [ben.run(lambda e: e.own_devices.personal)]


def test_approval_shows_the_same_digits_and_survives_restarts(world: World) -> None:
    ana, group = otters(world)
    row = made(ana, group, by_hand=True, short=True)
    ben = world.add("ben")
    before = [one for one in rows(ana) if one[0] != row.id]
    assert Meeting(world, ana, ben).join(short(row)) is Step.WAITING
    ((_, request),) = ana.run(lambda e: e.invitations.requests())
    (attempt,) = ben.run(lambda e: e.joins.active())
    assert request.comparison == attempt.comparison
    assert (request.name, request.device_name) == ("ben", "ben's laptop")
    (event,) = [event for event in ana.events if isinstance(event, JoinRequested)]
    assert (event.name, event.comparison) == ("ben", attempt.comparison)
    # Nothing but the request is kept of somebody who is not approved.
    assert [one for one in rows(ana) if one[0] != row.id] == before
    for device in (ana, ben):
        device.restart()
    ticket = InviteSecret(attempt.ticket)
    assert ticket.rendezvous in ana.run(Engine.reach).offered
    assert Meeting(world, ana, ben).resume(attempt.invite) is Step.WAITING
    decide(ana, ben, approve=True)
    ana.restart()
    assert Meeting(world, ana, ben).resume(attempt.invite) is Step.ADMITTED
    assert ben.run(lambda e: e.joins.list()) == []
    world.connect(ana, ben)
    world.settle()
    assert ben.group_name(group) == "Otters"
    assert ticket.rendezvous not in ana.run(Engine.reach).offered
    after = ana.run(lambda e: e.invitations.requests())
    assert after == []


@pytest.mark.parametrize("kind", [short, long])
def test_an_answer_that_was_lost_is_given_again(
    world: World, kind: Callable[[InviteRow], InviteSecret]
) -> None:
    ana, group = otters(world)
    row = made(ana, group, short=True)
    ben, secret = world.add("ben"), kind(row)
    meeting = Meeting(world, ana, ben)
    join = ben.run(lambda e: e.joins.begin(secret, ())).invite
    joining = ben.run(lambda e: e.joins.open(join, secret, meeting.channel))
    answer = meeting.send(joining.start())
    _, request = ben.run(lambda e: e.joins.receive(join, secret, joining, answer))
    assert request is not None
    meeting.send(request)  # and the connection breaks
    ben.restart()
    assert Meeting(world, ana, ben).resume(join) is Step.ADMITTED
    assert ana.run(lambda e: e.invitations.row(row.id)).uses_left == 0


def test_a_declined_person_needs_a_new_invite(world: World) -> None:
    ana, group = otters(world)
    row = made(ana, group, by_hand=True, uses=5)
    ben = world.add("ben")
    assert Meeting(world, ana, ben).join(long(row)) is Step.WAITING
    (attempt,) = ben.run(lambda e: e.joins.active())
    decide(ana, ben, approve=False)
    assert Meeting(world, ana, ben).resume(attempt.invite) is Step.REFUSED
    assert "declined" in reason(ben)
    assert Meeting(world, ana, ben).join(long(row)) is Step.REFUSED
    with pytest.raises(NotFoundError):
        decide(ana, ben, approve=True)
    assert ana.run(lambda e: e.invitations.row(row.id)).uses_left == 5
    again = made(ana, group, by_hand=True)
    assert Meeting(world, ana, ben).join(long(again)) is Step.WAITING
    decide(ana, ben, approve=True)
    assert Meeting(world, ana, ben).resume(long(again).id) is Step.ADMITTED


def test_an_invite_withdrawn_while_somebody_waits(world: World) -> None:
    ana, group = otters(world)
    row = made(ana, group, by_hand=True)
    ben = world.add("ben")
    meeting = Meeting(world, ana, ben)
    assert meeting.join(long(row)) is Step.WAITING
    assert ana.run(lambda _: meeting.inviting.look_again()) is None
    ana.run(lambda e: e.invitations.revoke(row.id))
    assert InvitesChanged(group) in ana.events
    assert ana.run(lambda e: e.invitations.requests()) == []
    with pytest.raises(NotFoundError):
        decide(ana, ben, approve=True)
    frame = ana.run(lambda _: meeting.inviting.look_again())
    assert frame is not None
    assert meeting.joining is not None
    step, _ = ben.run(
        lambda e: e.joins.receive(row.id, long(row), meeting.joining, frame)  # type: ignore[arg-type]
    )
    assert step is Step.REFUSED
    assert "withdrawn" in reason(ben)
    assert persons(ana, group) == {ana.engine.persons.id}


def test_whoever_asked_in_time_can_be_approved_later(world: World) -> None:
    ana, group = otters(world)
    row = made(ana, group, by_hand=True, lifetime=3600_000)
    ben, cleo = world.add("ben"), world.add("cleo")
    assert Meeting(world, ana, ben).join(long(row)) is Step.WAITING
    world.clock.seconds += 2 * 3600
    assert Meeting(world, ana, cleo).join(long(row)) is Step.REFUSED
    decide(ana, ben, approve=True)
    assert Meeting(world, ana, ben).resume(row.id) is Step.ADMITTED


def test_an_invite_for_one_with_two_waiting(world: World) -> None:
    ana, group = otters(world)
    row = made(ana, group, by_hand=True)
    ben, cleo = world.add("ben"), world.add("cleo")
    for one in (ben, cleo):
        assert Meeting(world, ana, one).join(long(row)) is Step.WAITING
    decide(ana, ben, approve=True)
    before = rows(ana)
    with pytest.raises(InviteError):
        decide(ana, cleo, approve=True)
    assert rows(ana) == before
    decide(ana, cleo, approve=False)
    assert persons(ana, group) == {ana.engine.persons.id, ben.engine.persons.id}


def test_requests_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invitations, "MAX_REQUESTS", 2)
    ana, group = otters(world)
    row = made(ana, group, by_hand=True, uses=9)
    steps = [Meeting(world, ana, world.add(f"g{n}")).join(long(row)) for n in range(3)]
    assert steps == [Step.WAITING, Step.WAITING, Step.REFUSED]
    monkeypatch.setattr(invitations, "MAX_INVITES", 2)
    made(ana, group)
    with pytest.raises(UsageError):
        made(ana, group)


def test_a_device_of_somebody_elses_person_is_refused(world: World) -> None:
    ana, group = otters(world)
    row = made(ana, group, by_hand=True)
    ben, mallory = world.add("ben"), world.add("mallory")
    # Mallory shows Ben's statements for a device that they do not name.
    stolen = ben.engine.persons.evidence()
    mallory.engine.persons._evidence = stolen
    before = rows(ana)
    assert Meeting(world, ana, mallory).join(long(row)) is Step.REFUSED
    mallory.engine.persons._evidence = (b"nonsense", encode([b"x", b"y"]))
    assert Meeting(world, ana, mallory).join(long(row)) is Step.REFUSED
    assert rows(ana) == before


def test_a_ticket_is_good_for_its_device_only(world: World) -> None:
    ana, group = otters(world)
    row = made(ana, group, by_hand=True)
    ben, mallory = world.add("ben"), world.add("mallory")
    assert Meeting(world, ana, ben).join(long(row)) is Step.WAITING
    decide(ana, ben, approve=True)
    (attempt,) = ben.run(lambda e: e.joins.active())
    assert Meeting(world, ana, mallory).join(InviteSecret(attempt.ticket)) is Step.REFUSED
    assert persons(ana, group) == {ana.engine.persons.id, ben.engine.persons.id}


def test_who_is_no_admin_any_more_lets_nobody_in(world: World) -> None:
    ana, group = otters(world)
    ben, cleo = world.add("ben"), world.add("cleo")
    assert Meeting(world, ana, ben).join(long(made(ana, group))) is Step.ADMITTED
    world.connect_all()
    world.settle()
    with pytest.raises(NotPermittedError):
        made(ben, group)
    kept = made(ana, group, uses=5)
    # The invite was made by somebody who is a writer now.
    ben.run(lambda e: e._context.store.invites.put(replace(kept, created=0)))
    assert Meeting(world, ben, cleo).join(long(kept)) is Step.REFUSED
    ben.run(lambda e: e._context.store.invites.put(replace(kept, by_hand=True)))
    before = rows(ben)
    assert Meeting(world, ben, world.add("dan")).join(long(kept)) is Step.REFUSED
    assert rows(ben) == before


def test_a_removal_withdraws_the_groups_invites(world: World) -> None:
    ana, group = otters(world)
    ben, cleo = world.add("ben"), world.add("cleo")
    row = made(ana, group, uses=9)
    for one in (ben, cleo):
        assert Meeting(world, ana, one).join(long(row)) is Step.ADMITTED
    ana.run(lambda e: e.remove_person(group, cleo.engine.persons.id))
    assert Meeting(world, ana, cleo).join(long(row)) is Step.REFUSED
    assert "withdrawn" in reason(cleo)


def test_one_person_with_two_inviters(world: World) -> None:
    ana, group = otters(world)
    ben, cleo = world.add("ben"), world.add("cleo")
    assert Meeting(world, ana, ben).join(long(made(ana, group, role=Role.ADMIN))) is Step.ADMITTED
    world.connect(ana, ben)
    world.settle()
    world.cut_all()
    # Both let Cleo in while they are apart.
    mine, theirs = made(ana, group, role=Role.READER), made(ben, group)
    assert Meeting(world, ana, cleo).join(long(mine)) is Step.ADMITTED
    assert Meeting(world, ben, cleo).join(long(theirs)) is Step.ADMITTED
    world.connect_all()
    world.settle()
    assert ana.roster(group) == ben.roster(group) == cleo.roster(group)
    assert ana.epoch(group) == cleo.epoch(group) is not None
    page = cleo.run(lambda e: e.queries.groups())
    assert [view.name for view in page] == ["Otters"]


def test_own_invites_and_the_personal_group(world: World) -> None:
    ana, group = otters(world)
    row = made(ana, group)
    with pytest.raises(UsageError):
        ana.run(lambda e: e.joins.begin(long(row), ()))
    personal = ana.run(lambda e: e.own_devices.personal)
    with pytest.raises(UsageError):
        made(ana, personal)
    for options in ({"uses": 0}, {"uses": 10_000}, {"lifetime": 0}, {"lifetime": 10**12}):
        with pytest.raises(UsageError):
            made(ana, group, **options)
    with pytest.raises(NotFoundError):
        ana.run(lambda e: e.invitations.revoke(bytes(16)))


def test_attempts_end_after_a_month_and_can_be_begun_again(world: World) -> None:
    ana, group = otters(world)
    row = made(ana, group, lifetime=60 * 24 * 3600 * 1000)
    ben = world.add("ben")
    ben.run(lambda e: e.joins.begin(long(row), ("192.168.0.7:4242",)))
    # A clock that was set back does not end it, one that ran on does.
    ben.skew_ms = -400 * 86_400_000
    ben.restart()
    assert len(ben.run(lambda e: e.joins.active())) == 1
    ben.skew_ms = PATIENCE + 1
    ben.restart()
    (attempt,) = ben.run(lambda e: e.joins.list())
    assert attempt.state is JoinState.EXPIRED
    assert ben.run(Engine.reach).joins == []
    ben.skew_ms = 0
    assert Meeting(world, ana, ben).join(long(row)) is Step.ADMITTED
    ben.run(lambda e: e.joins.begin(InviteSecret(b"x" * 16), ()))
    ben.run(lambda e: e.joins.cancel(InviteSecret(b"x" * 16).id))
    assert ben.run(lambda e: e.joins.list()) == []
    with pytest.raises(NotFoundError):
        ben.run(lambda e: e.joins.cancel(bytes(16)))


def test_old_invites_are_forgotten(world: World) -> None:
    ana, group = otters(world)
    old = made(ana, group, by_hand=True)
    assert Meeting(world, ana, world.add("ben")).join(long(old)) is Step.WAITING
    world.clock.seconds += 60 * DAY
    fresh = made(ana, group)
    assert [row.id for row in ana.run(lambda e: e.invitations.list())] == [fresh.id]
    assert ana.store.join_requests.list() == []


def test_statements_that_are_forged_do_not_make_a_person(world: World) -> None:
    ana = world.add("ana")
    stranger = SigningKey.generate(world.random_bytes)
    assert ana.engine.persons.owner(stranger.public, [b"", b"\x80", encode([b"a", b"b"])]) is None
    assert ana.engine.persons.owner(stranger.public, ana.engine.persons.evidence()) is None


# A key package with the admission


def meet(world: World, *, loses_offer: bool = False) -> tuple[Device, Device, Meeting, bytes]:
    """Let a second device into a group; nothing of the group has reached it yet."""
    ana, group = otters(world)
    ben = world.add("ben")
    meeting = Meeting(world, ana, ben)
    meeting.loses_offer = loses_offer
    assert meeting.join(long(made(ana, group))) is Step.ADMITTED
    return ana, ben, meeting, group


def roster(device: Device, group: bytes) -> set[bytes]:
    """Return the devices in the keys of a group's head."""
    head = device.engine._groups.get(group).control.head()
    assert head is not None
    return set(head.roster)


@pytest.mark.parametrize("restarts", [False, True])
def test_keys_are_made_before_the_newcomer_has_heard_of_the_group(
    world: World, restarts: bool
) -> None:
    ana, ben, _, group = meet(world)
    assert roster(ana, group) == {ana.device, ben.device}
    operations = len(ana.engine._groups.get(group).control.history)
    page = ana.run(lambda e: e.create_document(group, "Notes", "text"))
    if restarts:
        ben.restart()
    world.connect(ana, ben)
    world.settle()
    assert ben.text(page) == "text"
    # No second key package, and no second commit: what follows is the newcomer's card.
    kinds = [item.decode().kind for item in ben.store.operations.control(group)][operations:]
    assert [kind for kind in kinds if kind in (OFFER, COMMIT)] == []


def test_an_offer_that_is_lost_is_made_again_in_the_group(world: World) -> None:
    ana, ben, _, group = meet(world, loses_offer=True)
    assert roster(ana, group) == {ana.device}
    world.connect(ana, ben)
    world.settle()
    assert roster(ana, group) == roster(ben, group) == {ana.device, ben.device}
    assert ben.epoch(group) == ana.epoch(group) is not None


def test_only_a_valid_key_package_of_the_device_itself_is_carried(world: World) -> None:
    ana, ben, _, group = meet(world, loses_offer=True)
    before = rows(ana)
    replica = ben.engine._groups.get(group)
    offer = replica.create_offer(ana.engine._groups.get(group).suite_id)
    stranger = world.add("cleo")
    false = [
        replace(offer, device=stranger.device),
        replace(offer, signature=bytes(64)),
        replace(offer, key_package=offer.key_package[:-1] + bytes(1)),
        Offer(ben.device, b"", b""),
        replica.create_offer(1),
    ]
    for one in false:
        with pytest.raises(RemoteError):
            ana.run(lambda e, one=one: e.invitations.take_offer(group, one))
    assert rows(ana) == before
    # A device that is no member, or has its keys already, gets none this way.
    other = Group(group, stranger.engine._groups._setup()).create_offer()
    ana.run(lambda e: e.invitations.take_offer(group, other))
    assert roster(ana, group) == {ana.device}
    ana.run(lambda e: e.invitations.take_offer(group, offer))
    assert roster(ana, group) == {ana.device, ben.device}
    operations = len(ana.engine._groups.get(group).control.history)
    ana.run(lambda e: e.invitations.take_offer(group, replica.create_offer()))
    assert len(ana.engine._groups.get(group).control.history) == operations
    ana.run(lambda e: e.remove_person(group, ben.engine.persons.id))
    ana.run(lambda e: e.invitations.take_offer(group, offer))
    assert roster(ana, group) == {ana.device}


def test_key_packages_of_no_use_now_are_not_carried(world: World) -> None:
    """A device that was let in may come back as often as it likes, each time with another one."""
    ana, ben, _, group = meet(world, loses_offer=True)
    before = rows(ana)
    replica = ben.engine._groups.get(group)
    for days in (40, -70):
        ben.skew_ms = int(days * DAY * 1000)
        offer = replica.create_offer()
        ana.run(lambda e, offer=offer: e.invitations.take_offer(group, offer))
    assert rows(ana) == before
    ben.skew_ms = 0
    ana.run(lambda e: e.invitations.take_offer(group, replica.create_offer()))
    assert roster(ana, group) == {ana.device, ben.device}


def test_one_key_package_of_a_device_is_carried_whatever_becomes_of_it(world: World) -> None:
    ana, ben, _, group = meet(world, loses_offer=True)
    suite = ana.engine._groups.get(group).suite_id
    before = len(ana.engine._groups.get(group).control.history)
    for _ in range(3):
        # It fits no commit, and its time is over soon.
        key = suite_for(suite).signatures.generate(world.random_bytes)[0]
        offer = crafted(ben, group, key, Capabilities(cipher_suites=(1,)))
        ana.run(lambda e, offer=offer: e.invitations.take_offer(group, offer))
        assert len(ana.engine._groups.get(group).control.history) == before + 1
        world.clock.seconds += 2000
    world.connect(ana, ben)
    world.settle()
    assert ben.epoch(group) == ana.epoch(group) is not None


@pytest.mark.parametrize("profile", Profile)
def test_the_name_that_a_newcomer_can_read_goes_with_the_keys(
    world: World, profile: Profile
) -> None:
    ana, ben = world.add("ana"), world.add("ben")
    group = ana.run(lambda e: e.create_group("Otters", profile))
    meeting = Meeting(world, ana, ben)
    meeting.loses_offer = False
    assert meeting.join(long(made(ana, group))) is Step.ADMITTED
    assert roster(ana, group) == {ana.device, ben.device}
    assert not ana.engine._groups.get(group).is_name_hidden()


def test_an_admission_to_a_group_of_an_earlier_lutra_ends_the_attempt(world: World) -> None:
    """Whoever invites may say of any group that it leads there."""
    ana, group = otters(world)
    ben = world.add("ben")
    ben.store.groups.put(GroupRow(group, "Old", b"", 1, 1, form=1))
    assert Meeting(world, ana, ben).join(long(made(ana, group))) is Step.ADMITTED
    assert ben.store.joins.list() == []
