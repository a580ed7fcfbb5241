"""An operator's value stays until the server is given the parameter back."""

from intradp_ros.planning.ownership import Ownership


def test_own_requests_are_not_mistaken_for_an_operator():
    owner = Ownership()
    assert owner.request('tile_count', 10)
    assert not owner.on_changed('tile_count', 10)
    assert owner.request('tile_count', 12)


def test_an_operator_pins_and_release_gives_back():
    owner = Ownership()
    owner.request('tile_count', 10)
    assert owner.on_changed('tile_count', 3)
    assert owner.pinned == {'tile_count': 3}
    assert not owner.request('tile_count', 12)
    assert not owner.on_changed('tile_count', 3)  # the same again is nothing new
    assert owner.on_changed('tile_count', 4)
    owner.release('tile_count')
    assert owner.request('tile_count', 12)


def test_what_a_restarted_device_no_longer_has_is_the_operators_no_more():
    owner = Ownership()
    owner.on_changed('tile_count', 3)
    owner.on_changed('codec', 'zlib')
    owner.on_seen({'tile_count': 8, 'codec': 'zlib'})
    assert owner.pinned == {'codec': 'zlib'}
    assert owner.request('tile_count', 12)
