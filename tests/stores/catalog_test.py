"""Changes of a catalog: pure, and nothing happens when they are made again."""

import pytest

from tfrec.stores import StoreError
from tfrec.stores.catalog import Catalog, Version

TOTALS = {"num_keys": 1, "num_bytes": 2, "checksum": "0" * 16}
SEALED = Catalog().begin("a", 4).seal("a", {"model": "m"}, TOTALS)


def test_bytes_round_trip():
    for catalog in (Catalog(), SEALED, SEALED.switch("a").begin("b")):
        assert Catalog.from_bytes(catalog.to_bytes()) == catalog
    assert Catalog.from_bytes(None) == Catalog()


def test_equal_catalogs_have_equal_bytes():
    versions = {"a": Version(number=1), "b": Version(number=2)}
    one = Catalog("a", versions)
    other = Catalog("a", dict(reversed(versions.items())))
    assert one == other
    assert one.to_bytes() == other.to_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c.begin("new", 8),
        lambda c: c.seal("open", {"model": "m"}, TOTALS),
        lambda c: c.switch("a"),
        lambda c: c.begin_delete("a"),
        lambda c: c.begin_delete("open"),
        lambda c: c.end_delete("open"),
    ],
)
def test_a_change_made_again_changes_nothing(change):
    before = SEALED.begin("open")
    kept = before.to_bytes()
    after = change(before)
    assert after != before
    assert change(after) == after
    assert before.to_bytes() == kept


def test_begin_keeps_the_buckets_it_was_begun_with():
    assert SEALED.begin("b", 4).begin("b", 9).find("b") == Version("open", 2, 4)


def test_numbers_rise():
    three = SEALED.begin("b").begin("c")
    assert [v.number for v in three.versions.values()] == [1, 2, 3]
    assert three.end_delete("a").end_delete("b").begin("d").find("d").number == 4
    assert SEALED.end_delete("a").begin("d").find("d").number == 1


def test_seal_holds_meta_and_totals():
    assert SEALED.find("a") == Version("sealed", 1, 4, {"model": "m", **TOTALS})
    with pytest.raises(StoreError, match="sealed version 'a' must stay"):
        SEALED.seal("a", {"model": "m"}, {**TOTALS, "num_keys": 2})


def test_the_current_version_is_not_deleted():
    with pytest.raises(StoreError, match="must not be the current.*'a'"):
        SEALED.switch("a").begin_delete("a")


def test_what_is_being_deleted_stays_so():
    deleting = SEALED.begin_delete("a")
    for change in (
        lambda: deleting.begin("a"),
        lambda: deleting.switch("a"),
        lambda: deleting.seal("a", {"model": "m"}, TOTALS),
        lambda: deleting.readable("a"),
    ):
        with pytest.raises(StoreError, match="Received: deleting"):
            change()


def test_readable_is_the_current_version_by_default():
    catalog = SEALED.begin("b").seal("b", {}, TOTALS).switch("b")
    assert catalog.readable(None) == ("b", Version("sealed", 2, 0, TOTALS))
    assert catalog.readable("a", {"model": "m"})[0] == "a"
    with pytest.raises(StoreError, match="`model` of version 'a' must be 'n'.*'m'"):
        catalog.readable("a", {"model": "n"})
