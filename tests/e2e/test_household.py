"""People with two devices each, apart and together again: real processes, real sockets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from e2e import town as towns
from e2e.town import Device, Town


@pytest.fixture
def town() -> Iterator[Town]:
    with towns.town() as town:
        yield town


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_somebody_is_removed_while_others_are_away_and_add_somebody(town: Town) -> None:
    ana, ben, cleo = town.person("ana"), town.person("ben"), town.person("cleo")
    dora = town.single("dora")
    everybody = (*ana, *ben, *cleo)
    with town.together(*everybody):
        group, page = found(town, ana[0], {ben[0]: "admin", cleo[0]: "writer"}, everybody)

    with town.together(*ana):
        ana[0].do("group", "remove", group, "Cleo", "--yes")
        ana[1].ask("append", document=page, text=" ana")
        town.wait_for(
            lambda: ana[0].text(page).endswith(" ana"), "Ana's laptop has her phone's text"
        )

    with town.together(*ben, *cleo, dora):
        invite = ben[0].do("group", "invite", group)
        joined = dora.do("group", "join", invite["code"], "--address", ben[0].address)
        assert joined["state"] == "admitted"
        cleo[1].ask("append", document=page, text=" cleo")
        town.wait_for(lambda: " cleo" in ben[1].text(page), "Ben's phone has Cleo's text")
        ben[1].ask("append", document=page, text=" ben")
        town.wait_for(lambda: " ben" in dora.text(page), "Dora has Ben's text")
        dora.ask("append", document=page, text=" dora")
        town.wait_for(lambda: " dora" in ben[0].text(page), "Ben's laptop has Dora's text")

    staying = (*ana, *ben, dora)
    with town.together(*staying, *cleo):
        town.wait_for(
            lambda: all({" ana", " ben", " dora"} <= words(one.text(page)) for one in staying),
            "nothing of those who stay is missing",
        )
        agree(town, group, page, staying)
        town.wait_for(
            lambda: all(not is_member(one, group) for one in cleo),
            "Cleo's devices know that they are out",
        )
        go_on(town, ana[0], page, staying, gone=cleo)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_two_admins_remove_each_other_while_apart(town: Town) -> None:
    ana, ben, cleo = town.person("ana"), town.person("ben"), town.person("cleo")
    everybody = (*ana, *ben, *cleo)
    with town.together(*everybody):
        group, page = found(town, ana[0], {ben[0]: "admin", cleo[0]: "writer"}, everybody)

    with town.together(*ana):
        ana[0].do("group", "remove", group, "Ben", "--yes")
    with town.together(*ben, *cleo):
        cleo[1].ask("append", document=page, text=" before")
        town.wait_for(lambda: " before" in ben[0].text(page), "Ben's laptop has Cleo's text")
        ben[0].do("group", "remove", group, "Ana", "--yes")
        town.wait_for(lambda: len(cleo[0].roster(group)) == 4, "Cleo's laptop knows Ana is out")
        cleo[0].ask("append", document=page, text=" after")
        town.wait_for(lambda: " after" in cleo[1].text(page), "Cleo's phone has her laptop's text")

    gone = (*ana, *ben)
    with town.together(*everybody):
        town.wait_for(
            lambda: all(not is_member(one, group) for one in gone), "both know that they are out"
        )
        agree(town, group, page, cleo)
        assert {" before", " after"} <= words(cleo[0].text(page))
        # Somebody has to be the admin: the eldest of those who are left.
        assert all(one.ask("group", group=group)["role"] == "admin" for one in cleo)
        for one in cleo:
            go_on(town, one, page, cleo, gone=gone)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_phones_are_replaced_while_their_owners_are_apart(town: Town) -> None:
    ana, ben, cleo = town.person("ana"), town.person("ben"), town.single("cleo")
    everybody = (*ana, *ben, cleo)
    with town.together(*everybody):
        group, page = found(town, ana[0], {ben[0]: "admin", cleo: "writer"}, everybody)

    with town.together(cleo):
        cleo.ask("append", document=page, text=" cleo")
    tablets: list[Device] = []
    for name, laptop, phone in (("ana", *ana), ("ben", *ben)):
        with town.together(laptop, phone):
            phone.ask("append", document=page, text=f" {name}-old")
            exchange(town, page, f" {name}-old", (laptop,))
        tablet = town.device(f"{name}-tablet")
        town.pair(laptop, tablet)
        tablets.append(tablet)
        with town.together(laptop, tablet):
            laptop.do("device", "remove", phone.own_id(), "--yes")
            exchange(town, page, f" {name}-old", (tablet,))
            tablet.ask("append", document=page, text=f" {name}-new")
            exchange(town, page, f" {name}-new", (laptop,))

    staying, gone = (ana[0], ben[0], cleo, *tablets), (ana[1], ben[1])
    with town.together(*staying, *gone):
        kept = {" cleo", " ana-old", " ana-new", " ben-old", " ben-new"}
        town.wait_for(
            lambda: all(kept <= words(one.text(page)) for one in staying), "nothing is missing"
        )
        agree(town, group, page, staying)
        town.wait_for(
            lambda: all(not is_member(one, group) for one in gone),
            "the old phones know that they are out",
        )
        for one in tablets:
            go_on(town, one, page, staying, gone=gone)


def found(
    town: Town, founder: Device, others: dict[Device, str], everybody: Sequence[Device]
) -> tuple[str, str]:
    """Let a device make a group with one page, and invite others in these roles."""
    group = founder.do("group", "create", "Choir")["id"]
    page = founder.ask("create_document", group=group, title="Notes", text="start")["id"]
    for device, role in others.items():
        invite = founder.do("group", "invite", group, "--role", role)
        joined = device.do("group", "join", invite["code"], "--address", founder.address)
        assert joined["state"] == "admitted"
    exchange(town, page, "start", everybody)
    agree(town, group, page, everybody)
    return group, page


def exchange(town: Town, page: str, text: str, readers: Sequence[Device]) -> None:
    names = ", ".join(one.name for one in readers)
    town.wait_for(lambda: all(text in one.text(page) for one in readers), f"{text} is at {names}")


def agree(town: Town, group: str, page: str, staying: Sequence[Device]) -> None:
    """See that these devices, and no others, are in, and have the same text."""
    town.wait_for(lambda: len({one.text(page) for one in staying}) == 1, "all have the same text")
    town.wait_for(
        lambda: all(len(one.roster(group)) == len(staying) for one in staying), "rosters are right"
    )
    own = {one.own_id() for one in staying}
    assert all(one.roster(group) == own for one in staying)


def go_on(
    town: Town, writer: Device, page: str, staying: Sequence[Device], *, gone: Sequence[Device]
) -> None:
    """See that text reaches all who stay and nobody else."""
    text = f" by-{writer.name}"
    writer.ask("append", document=page, text=text)
    exchange(town, page, text, staying)
    assert all(text not in one.text(page) for one in gone)


def is_member(device: Device, group: str) -> bool:
    return device.ask("group", group=group)["member"]


def words(text: str) -> set[str]:
    return {f" {word}" for word in text.split()}
