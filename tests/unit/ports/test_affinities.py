"""Keys of studies."""

from __future__ import annotations

from gateway.ports.affinities import KEY_CHARACTERS, AffinityWish, study_digest


def test_studies_have_short_keys_of_their_own() -> None:
    digests = {study_digest(each) for each in ("1.2", "1.3", "", "\udce9", "1" * 10_000)}
    assert len(digests) == 5
    assert {len(each) for each in digests} == {KEY_CHARACTERS}


def test_a_wish_is_about_one_study_of_one_group() -> None:
    assert AffinityWish("readers", "d", "a", ("a",), 1.0).key == ("readers", "d")
