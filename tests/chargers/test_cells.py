"""The map in cells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargers.cells import MAX_CELLS, Box, Position, group_of, groups_of

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)


@given(latitudes, longitudes, st.floats(0, 2), st.floats(0, 2), st.floats(0, 1), st.floats(0, 1))
def test_whatever_is_in_a_box_is_in_one_of_its_cells(
    south: float, west: float, height: float, width: float, up: float, along: float
) -> None:
    north, east = min(90, south + height), west + width
    box = Box(south, west, north, east if east <= 180 else east - 360)
    longitude = west + along * width
    at = Position(south + up * (north - south), longitude if longitude <= 180 else longitude - 360)
    groups = groups_of(box)
    assert groups is not None
    assert len(groups) <= MAX_CELLS
    if box.holds(at):
        assert group_of(at) in groups


@pytest.mark.parametrize(
    ("box", "inside", "outside"),
    [
        (Box(52, 4, 53, 5), (52.5, 4.5), (52.5, 5.01)),
        (Box(52, 4, 53, 5), (52, 5), (51.99, 4.5)),
        (Box(-18, 179, -16, -179), (-17, 180), (-17, 178.9)),  # Fiji
        (Box(-18, 179, -16, -179), (-17, -179.5), (-17, 0)),
        (Box(0, 179, 1, 180), (0.5, -180), (0.5, -179.9)),  # the same meridian
        (Box(-90, -180, 90, 180), (12, 34), (91, 34)),
    ],
)
def test_a_box_holds_what_is_between_its_sides(
    box: Box, inside: tuple[float, float], outside: tuple[float, float]
) -> None:
    assert box.holds(Position(*inside))
    assert not box.holds(Position(*outside))


def test_a_box_across_the_180th_meridian_is_covered_and_the_world_is_too_large() -> None:
    groups = groups_of(Box(-18, 179, -17, -179))
    assert groups is not None
    assert {group_of(Position(-17.5, 179.9)), group_of(Position(-17.5, -179.9))} <= groups
    assert group_of(Position(-17.5, 180)) == group_of(Position(-17.5, -180))
    assert groups_of(Box(-90, -180, 90, 180)) is None
    assert groups_of(Box(0, 0, 3, 3)) is None
