"""The hash grid on CPU, compiled: one pass over the points forward, one over the levels backward.

Same letters as `hash_grid`. Every arithmetic step is the reference's, in the table's own precision.
`row` is any tuple as long as an entry: a tuple's length is known to the compiler, which then
unrolls the loop over it.
"""

from typing import no_type_check

import numpy as np
from numba import njit, prange

# Instant-NGP's primes (2201.05989, section 3); the first is 1. Numbers of entries are unsigned:
# then numba need not look for negative ones, which count from the end.
_PRIME_Y, _PRIME_Z = np.uint64(2_654_435_761), np.uint64(805_459_861)
_ONE = np.uint64(1)
_CHUNK = 2048  # points whose features stay in the cache while the levels go by


@njit(cache=True)
@no_type_check
def _cell(coordinate, resolution):
    """Cell that a coordinate in [0, 1] lies in, and where in it."""
    zero = type(resolution)(0)
    scaled = min(max(coordinate, zero), type(resolution)(1)) * resolution
    cell = min(np.int64(scaled), np.int64(resolution) - 1)
    return np.uint64(cell), scaled - type(resolution)(cell)


@njit(cache=True)
@no_type_check
def _corners(x, y, z, resolution, start, size, by_hash):
    """Entries and weights of the eight vertices around a point, x fastest."""
    x0, right = _cell(x, resolution)
    y0, up = _cell(y, resolution)
    z0, near = _cell(z, resolution)
    one = type(resolution)(1)
    left, down, far = one - right, one - up, one - near
    x1, y1, z1 = x0 + _ONE, y0 + _ONE, z0 + _ONE
    if by_hash:
        mask = size - _ONE
        y0, y1, z0, z1 = y0 * _PRIME_Y, y1 * _PRIME_Y, z0 * _PRIME_Z, z1 * _PRIME_Z
        entries = (
            start + ((x0 ^ y0 ^ z0) & mask),
            start + ((x1 ^ y0 ^ z0) & mask),
            start + ((x0 ^ y1 ^ z0) & mask),
            start + ((x1 ^ y1 ^ z0) & mask),
            start + ((x0 ^ y0 ^ z1) & mask),
            start + ((x1 ^ y0 ^ z1) & mask),
            start + ((x0 ^ y1 ^ z1) & mask),
            start + ((x1 ^ y1 ^ z1) & mask),
        )
    else:
        side = np.uint64(resolution) + _ONE
        first = start + x0 + side * (y0 + side * z0)
        row, layer = side, side * side
        entries = (
            first,
            first + _ONE,
            first + row,
            first + row + _ONE,
            first + layer,
            first + layer + _ONE,
            first + layer + row,
            first + layer + row + _ONE,
        )
    weights = (
        left * down * far,
        right * down * far,
        left * up * far,
        right * up * far,
        left * down * near,
        right * down * near,
        left * up * near,
        right * up * near,
    )
    return entries, weights


@njit(cache=True, parallel=True)
@no_type_check
def encode(points, table, resolutions, offsets, sizes, hashed, row, features):
    """Fill `features` (points, levels, features of a level)."""
    for chunk in prange((len(points) + _CHUNK - 1) // _CHUNK):
        first, last = chunk * _CHUNK, min((chunk + 1) * _CHUNK, len(points))
        for level in range(len(resolutions)):
            resolution, start, size = resolutions[level], offsets[level], sizes[level]
            for i in range(first, last):
                x, y, z = points[i, 0], points[i, 1], points[i, 2]
                e, w = _corners(x, y, z, resolution, start, size, hashed[level])
                for f in range(len(row)):
                    features[i, level, f] = (
                        (w[0] * table[e[0], f] + w[1] * table[e[1], f])
                        + (w[2] * table[e[2], f] + w[3] * table[e[3], f])
                    ) + (
                        (w[4] * table[e[4], f] + w[5] * table[e[5], f])
                        + (w[6] * table[e[6], f] + w[7] * table[e[7], f])
                    )


@njit(cache=True, parallel=True)
@no_type_check
def scatter(points, gradient, resolutions, offsets, sizes, hashed, row, table_gradient):
    """Add the features' gradient to `table_gradient`.

    A level's entries are written by one thread, point after point: no atomics, and the same bits
    whatever the number of threads.
    """
    for level in prange(len(resolutions)):
        resolution, start, size = resolutions[level], offsets[level], sizes[level]
        for i in range(len(points)):
            x, y, z = points[i, 0], points[i, 1], points[i, 2]
            e, w = _corners(x, y, z, resolution, start, size, hashed[level])
            for f in range(len(row)):
                g = gradient[i, level, f]
                table_gradient[e[0], f] += w[0] * g
                table_gradient[e[1], f] += w[1] * g
                table_gradient[e[2], f] += w[2] * g
                table_gradient[e[3], f] += w[3] * g
                table_gradient[e[4], f] += w[4] * g
                table_gradient[e[5], f] += w[5] * g
                table_gradient[e[6], f] += w[6] * g
                table_gradient[e[7], f] += w[7] * g
