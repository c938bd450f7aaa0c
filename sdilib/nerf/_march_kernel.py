"""Compiled CPU kernel that finds the occupied intervals of rays, in one pass and without a table of their points.

Every arithmetic step is that of `OccupancyGrid.occupied`, in the rays' own precision.
"""

from typing import no_type_check

import numpy as np
from numba import njit


@njit(cache=True)
@no_type_check
def look(origins, directions, start, end, lit, cells, radius, places, points):
    """Fill `places` (ray times intervals plus interval) and `points` (midpoints); return how many were found.

    Args:
        origins: (rays, 3), as `directions`.
        directions: unit vectors.
        start: (rays, intervals), as `end`.
        end: an interval that does not end after its start is empty.
        lit: (rays,), whether light arrives.
        cells: (count, count, count), whether each may be occupied.
        radius: half the side of the cells' cube, in the rays' precision.
        places: room for all intervals, int64.
        points: room for all intervals, (…, 3).
    """
    found, count = 0, cells.shape[0]
    last = np.int64(count - 1)
    one, half = type(radius)(1), type(radius)(0.5)
    scale = half * type(radius)(count)
    intervals = start.shape[1]
    for ray in range(len(origins)):
        if not lit[ray]:
            continue
        for i in range(intervals):
            if end[ray, i] <= start[ray, i]:
                continue
            middle = half * (start[ray, i] + end[ray, i])
            x = origins[ray, 0] + middle * directions[ray, 0]
            y = origins[ray, 1] + middle * directions[ray, 1]
            z = origins[ray, 2] + middle * directions[ray, 2]
            a = min(max(np.int64((x / radius + one) * scale), 0), last)
            b = min(max(np.int64((y / radius + one) * scale), 0), last)
            c = min(max(np.int64((z / radius + one) * scale), 0), last)
            if cells[a, b, c]:
                places[found] = ray * intervals + i
                points[found, 0], points[found, 1], points[found, 2] = x, y, z
                found += 1
    return found
