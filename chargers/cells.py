"""The map in cells: whoever looks at an area of it joins the cells that cover it, and is told of what changes there.

So a change is published once for each cell, however many look at it, and nobody is looked up. Pure.
"""

from math import floor
from typing import NamedTuple

CELL_DEGREES = 0.25  # in the middle latitudes some 28 km by 18
COLUMNS = round(360 / CELL_DEGREES)
MAX_CELLS = 100


class Position(NamedTuple):
    """Degrees: latitude -90 to 90, longitude -180 to 180."""

    latitude: float
    longitude: float


class Box(NamedTuple):
    """An area between two parallels and, from west to east, two meridians: across the 180th where west > east."""

    south: float
    west: float
    north: float
    east: float

    @property
    def width(self) -> float:
        return self.east - self.west + (0 if self.east >= self.west else 360)

    def holds(self, at: Position) -> bool:
        return self.south <= at.latitude <= self.north and (at.longitude - self.west) % 360 <= self.width


def group_of(at: Position) -> str:
    """Who looks at this place."""
    return _group(_row(at.latitude), _column(at.longitude))


def groups_of(box: Box) -> set[str] | None:
    """Those that hear of everything in the box, and some around it; None where that would be too many."""
    rows = range(_row(box.south), _row(box.north) + 1)
    first = _column(box.west)
    columns = range(first, min(_column(box.west + box.width), first + COLUMNS - 1) + 1)
    if len(rows) * len(columns) > MAX_CELLS:
        return None
    return {_group(row, column) for row in rows for column in columns}


def _row(latitude: float) -> int:
    return floor((latitude + 90) / CELL_DEGREES)


def _column(longitude: float) -> int:
    return floor((longitude + 180) / CELL_DEGREES)


def _group(row: int, column: int) -> str:
    return f"cell.{row}.{column % COLUMNS}"
