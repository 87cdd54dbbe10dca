"""Group tags: what they show to members and hide from everyone else."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from lutra.net.tags import (
    MAX_SERVICES,
    MAX_TAGS,
    TAG_BYTES,
    TagTable,
    announcement,
    group_tag_key,
    hour_of,
    read_tags,
    rendezvous_tag_key,
    services,
    tag,
)


def keys(count: int) -> dict[bytes, bytes]:
    return {b"group %d" % n: group_tag_key(n.to_bytes(32, "big")) for n in range(count)}


def encoded(properties: dict[str, bytes]) -> list[bytes]:
    """The strings of a TXT record, as they stand on the wire."""
    return [name.encode() + b"=" + value for name, value in properties.items()]


@given(count=st.integers(0, 300))
def test_every_group_of_many_is_found_and_every_record_fits_a_packet(count: int) -> None:
    groups = keys(count)
    tags = announcement(groups.values(), 7, os.urandom)
    seen: set[bytes] = set()
    for properties in services(tags):
        strings = encoded(properties)
        assert all(len(string) <= 255 for string in strings)
        assert sum(1 + len(string) for string in strings) <= 600
        seen |= read_tags({name.encode(): value for name, value in properties.items()})
    assert TagTable(groups, 7).match(seen).keys() == set(groups)


def test_the_number_of_groups_is_hidden_up_to_a_power_of_two() -> None:
    sizes = {count: len(announcement(keys(count).values(), 1, os.urandom)) for count in range(200)}
    assert {sizes[count] for count in range(9)} == {8}
    assert sizes[9] == 16
    assert sizes[33] == sizes[64] == 64
    assert sizes[65] == sizes[128] == 128
    assert sizes[129] == sizes[192] == 192


def test_more_groups_than_can_be_announced_do_not_fail() -> None:
    tags = announcement(keys(MAX_TAGS + 100).values(), 1, os.urandom)
    assert len(tags) == MAX_TAGS
    assert len(list(services(tags))) == MAX_SERVICES


def test_clocks_may_differ_by_an_hour_but_not_by_two() -> None:
    groups = keys(3)
    table = TagTable(groups, 100)
    for hour in (99, 100, 101):
        assert table.match(announcement(groups.values(), hour, os.urandom)).keys() == set(groups)
    for hour in (98, 102):
        assert not table.match(announcement(groups.values(), hour, os.urandom))


def test_tags_change_with_the_hour_the_group_and_the_purpose() -> None:
    secret, other = b"s" * 32, b"o" * 32
    seen = {
        tag(group_tag_key(secret), 1),
        tag(group_tag_key(secret), 2),
        tag(group_tag_key(secret), -1),
        tag(group_tag_key(other), 1),
        tag(rendezvous_tag_key(secret), 1),
    }
    assert len(seen) == 5
    assert all(len(one) == TAG_BYTES for one in seen)
    assert hour_of(3599.9) == 0
    assert hour_of(3600) == 1
    assert hour_of(-1) == -1


def test_strangers_learn_nothing_from_order_or_content() -> None:
    groups = keys(5)
    tags = announcement(groups.values(), 1, os.urandom)
    assert tags == sorted(tags)
    flat = b"".join(tags)
    for group, key in groups.items():
        assert group not in flat
        assert key not in flat
    assert not TagTable({b"mine": group_tag_key(b"x" * 32)}, 1).match(tags)


@given(
    st.dictionaries(
        st.sampled_from([b"v", b"t0", b"t1", b"t2", b"t3", b"t4", b"zz"]),
        st.none() | st.binary(max_size=255),
    )
)
def test_any_record_of_a_stranger_can_be_read(properties: dict[bytes, bytes | None]) -> None:
    for one in read_tags(properties):
        assert len(one) == TAG_BYTES
