"""Compiled CPU kernels of the hash grid: one pass over the points forward, one over the levels backward.

Notation as in `hash_grid`. Every arithmetic step is the reference's, in the table's own precision.
Points are processed in chunks; within a chunk, entries and weights are computed for all points
together, coordinate by coordinate and vertex by vertex, in loops that the compiler vectorises.
`row` is any tuple as long as an entry: the compiler knows a tuple's length and unrolls the loop
over it.
"""

from typing import no_type_check

import numpy as np
from numba import njit, prange

# Instant-NGP's primes (2201.05989, section 3); the first is 1. Indices of entries are unsigned:
# numba then need not handle negative ones, which count from the end.
_PRIME_Y, _PRIME_Z = np.uint32(2_654_435_761), np.uint32(805_459_861)
_ONE = np.uint32(1)
_CHUNK = 512  # points whose entries and weights stay in the cache


@njit(cache=True)
@no_type_check
def _clamped(points, first, last, places):
    """Fill `places` (axes, points of the chunk) with the points, clamped to the unit cube."""
    zero, one = type(points[0, 0])(0), type(points[0, 0])(1)
    for i in range(last - first):
        for axis in range(3):
            places[axis, i] = min(max(points[first + i, axis], zero), one)


@njit(cache=True)
@no_type_check
def _corners(places, count, resolution, start, size, by_hash, entries, weights):
    """Fill entries and weights (vertices, points of the chunk), x fastest."""
    one, last = type(resolution)(1), np.int32(resolution) - np.int32(1)
    for i in range(count):
        x, y, z = places[0, i] * resolution, places[1, i] * resolution, places[2, i] * resolution
        x0, y0, z0 = min(np.int32(x), last), min(np.int32(y), last), min(np.int32(z), last)
        right, up, near = x - type(x)(x0), y - type(y)(y0), z - type(z)(z0)
        left, down, far = one - right, one - up, one - near
        weights[0, i] = left * down * far
        weights[1, i] = right * down * far
        weights[2, i] = left * up * far
        weights[3, i] = right * up * far
        weights[4, i] = left * down * near
        weights[5, i] = right * down * near
        weights[6, i] = left * up * near
        weights[7, i] = right * up * near
        entries[0, i], entries[1, i], entries[2, i] = np.uint32(x0), np.uint32(y0), np.uint32(z0)
    if by_hash:
        mask = size - _ONE
        for i in range(count):
            x0, y0, z0 = entries[0, i], entries[1, i] * _PRIME_Y, entries[2, i] * _PRIME_Z
            x1, y1, z1 = x0 + _ONE, y0 + _PRIME_Y, z0 + _PRIME_Z
            entries[0, i] = start + ((x0 ^ y0 ^ z0) & mask)
            entries[1, i] = start + ((x1 ^ y0 ^ z0) & mask)
            entries[2, i] = start + ((x0 ^ y1 ^ z0) & mask)
            entries[3, i] = start + ((x1 ^ y1 ^ z0) & mask)
            entries[4, i] = start + ((x0 ^ y0 ^ z1) & mask)
            entries[5, i] = start + ((x1 ^ y0 ^ z1) & mask)
            entries[6, i] = start + ((x0 ^ y1 ^ z1) & mask)
            entries[7, i] = start + ((x1 ^ y1 ^ z1) & mask)
    else:
        row = np.uint32(resolution) + _ONE
        layer = row * row
        for i in range(count):
            first = start + entries[0, i] + row * (entries[1, i] + row * entries[2, i])
            entries[0, i] = first
            entries[1, i] = first + _ONE
            entries[2, i] = first + row
            entries[3, i] = first + row + _ONE
            entries[4, i] = first + layer
            entries[5, i] = first + layer + _ONE
            entries[6, i] = first + layer + row
            entries[7, i] = first + layer + row + _ONE


@njit(cache=True, parallel=True)
@no_type_check
def encode(points, table, resolutions, offsets, sizes, hashed, row, features):
    """Fill `features` (points, levels, features per level)."""
    for chunk in prange((len(points) + _CHUNK - 1) // _CHUNK):
        first, last = chunk * _CHUNK, min((chunk + 1) * _CHUNK, len(points))
        places = np.empty((3, _CHUNK), points.dtype)
        e, w = np.empty((8, _CHUNK), np.uint32), np.empty((8, _CHUNK), points.dtype)
        _clamped(points, first, last, places)
        for level in range(len(resolutions)):
            resolution, start, size = resolutions[level], offsets[level], sizes[level]
            _corners(places, last - first, resolution, start, size, hashed[level], e, w)
            for i in range(last - first):
                for f in range(len(row)):
                    features[first + i, level, f] = (
                        (w[0, i] * table[e[0, i], f] + w[1, i] * table[e[1, i], f])
                        + (w[2, i] * table[e[2, i], f] + w[3, i] * table[e[3, i], f])
                    ) + (
                        (w[4, i] * table[e[4, i], f] + w[5, i] * table[e[5, i], f])
                        + (w[6, i] * table[e[6, i], f] + w[7, i] * table[e[7, i], f])
                    )


@njit(cache=True, parallel=True)
@no_type_check
def scatter(points, gradient, resolutions, offsets, sizes, hashed, row, table_gradient):
    """Add the features' gradient to `table_gradient`.

    Each level's entries are written by one thread, point by point: no atomics, and the same bits for
    any number of threads.
    """
    for level in prange(len(resolutions)):
        resolution, start, size = resolutions[level], offsets[level], sizes[level]
        places = np.empty((3, _CHUNK), points.dtype)
        e, w = np.empty((8, _CHUNK), np.uint32), np.empty((8, _CHUNK), points.dtype)
        for chunk in range((len(points) + _CHUNK - 1) // _CHUNK):
            first, last = chunk * _CHUNK, min((chunk + 1) * _CHUNK, len(points))
            _clamped(points, first, last, places)
            _corners(places, last - first, resolution, start, size, hashed[level], e, w)
            for i in range(last - first):
                for vertex in range(8):
                    for f in range(len(row)):
                        table_gradient[e[vertex, i], f] += (
                            w[vertex, i] * gradient[first + i, level, f]
                        )
