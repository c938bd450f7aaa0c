"""Signed distances of primitive shapes at one point, compiled.

Letters: (x, y, z) is the point relative to the shape's centre, y up; the value is negative inside,
and never larger in size than the true distance, so that sphere tracing cannot step over a surface.
"""

from typing import no_type_check

import numpy as np
from numba import njit


@njit(cache=True, inline="always")
@no_type_check
def ball(x, y, z, radius):
    """Ball."""
    return np.sqrt(x * x + y * y + z * z) - radius


@njit(cache=True, inline="always")
@no_type_check
def ellipsoid(x, y, z, rx, ry, rz):
    """Ellipsoid with the radii (rx, ry, rz): a lower bound, exact in sign, and loose along the longer radii."""
    scaled = np.sqrt((x / rx) ** 2 + (y / ry) ** 2 + (z / rz) ** 2)
    return (scaled - 1.0) * min(rx, ry, rz)


@njit(cache=True, inline="always")
@no_type_check
def box(x, y, z, hx, hy, hz):
    """Box with the half sides (hx, hy, hz)."""
    qx, qy, qz = abs(x) - hx, abs(y) - hy, abs(z) - hz
    outside = np.sqrt(max(qx, 0.0) ** 2 + max(qy, 0.0) ** 2 + max(qz, 0.0) ** 2)
    return outside + min(max(qx, qy, qz), 0.0)


@njit(cache=True, inline="always")
@no_type_check
def cylinder(x, y, z, radius, half_height):
    """Upright cylinder."""
    qr, qy = np.sqrt(x * x + z * z) - radius, abs(y) - half_height
    return np.sqrt(max(qr, 0.0) ** 2 + max(qy, 0.0) ** 2) + min(max(qr, qy), 0.0)


@njit(cache=True, inline="always")
@no_type_check
def cone(x, y, z, bottom, top, bottom_radius, top_radius):
    """Upright truncated cone between the heights `bottom` and `top`."""
    rise, run = top - bottom, top_radius - bottom_radius
    length = np.sqrt(rise * rise + run * run)
    radius = bottom_radius + run * (y - bottom) / rise
    side = (np.sqrt(x * x + z * z) - radius) * rise / length
    return max(side, bottom - y, y - top)


@njit(cache=True, inline="always")
@no_type_check
def torus_y(x, y, z, radius, thickness):
    """Ring lying flat, its axis along y."""
    q = np.sqrt(x * x + z * z) - radius
    return np.sqrt(q * q + y * y) - thickness


@njit(cache=True, inline="always")
@no_type_check
def torus_z(x, y, z, radius, thickness):
    """Ring standing up, its axis along z."""
    q = np.sqrt(x * x + y * y) - radius
    return np.sqrt(q * q + z * z) - thickness


@njit(cache=True, inline="always")
@no_type_check
def capsule(x, y, z, ax, ay, az, bx, by, bz, radius):
    """Rod with round ends from a to b."""
    px, py, pz = x - ax, y - ay, z - az
    dx, dy, dz = bx - ax, by - ay, bz - az
    h = (px * dx + py * dy + pz * dz) / (dx * dx + dy * dy + dz * dz)
    h = min(max(h, 0.0), 1.0)
    px, py, pz = px - h * dx, py - h * dy, pz - h * dz
    return np.sqrt(px * px + py * py + pz * pz) - radius


@njit(cache=True, inline="always")
@no_type_check
def round_cone(x, y, z, bottom, top, bottom_radius, top_radius):
    """Hull of two balls on the y axis, with their centres at the heights `bottom` and `top`."""
    radial, height = np.sqrt(x * x + z * z), top - bottom
    slope = (bottom_radius - top_radius) / height
    along = np.sqrt(1.0 - slope * slope)
    k = along * (y - bottom) - slope * radial
    if k < 0.0:
        return np.sqrt(radial * radial + (y - bottom) ** 2) - bottom_radius
    if k > along * height:
        return np.sqrt(radial * radial + (y - top) ** 2) - top_radius
    return along * radial + slope * (y - bottom) - bottom_radius
