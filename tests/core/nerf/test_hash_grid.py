"""The hash grid: one formula, slow and obvious, in torch and compiled; values and gradients."""

import itertools
import sys
import types

import numpy as np
import pytest
import torch

from sdilib.nerf import hash_grid
from sdilib.nerf.hash_grid import HashGrid, usable_backend
from sdilib.seeds import generator as generator_at

# Levels of 2, 3, 5 and 8 cells: 27 and 64 vertices fit a table of 2^7, 216 and 729 are hashed.
SMALL = {"num_levels": 4, "log2_table_size": 7, "base_resolution": 2, "finest_resolution": 8}


def grid(backend, dtype=torch.float32, **changed):
    settings = {**SMALL, "generator": generator_at(0, 0, "grid"), **changed}
    made = HashGrid(backend=backend, **settings).to(dtype)
    with torch.no_grad():  # of order one, so that tolerances mean something
        made.table.mul_(1e4)
    return made


def points(count, dtype=torch.float32):
    inside = torch.rand(count, 3, dtype=dtype, generator=generator_at(0, 0, "points"))
    corners = torch.tensor(list(itertools.product([0.0, 0.5, 1.0], repeat=3)), dtype=dtype)
    return torch.cat([inside, corners, torch.tensor([[-0.3, 0.2, 1.7]], dtype=dtype)])


def obvious(made, position):
    """One point's features, in Python's integers and floats."""
    table, start, features = made.table.detach().numpy(), 0, []
    for cells in made.resolutions:
        vertices, limit = (cells + 1) ** 3, 2**7
        scaled = [min(max(float(p), 0.0), 1.0) * cells for p in position]
        corner = [min(int(s), cells - 1) for s in scaled]
        total = np.zeros(table.shape[1])
        for step in itertools.product((0, 1), repeat=3):
            x, y, z = (c + s for c, s in zip(corner, step, strict=True))
            weight = np.prod([1 - abs(s - c) for s, c in zip(scaled, (x, y, z), strict=True)])
            named = (x ^ (y * 2654435761) ^ (z * 805459861)) % 2**32 % limit
            own = x + (cells + 1) * y + (cells + 1) ** 2 * z
            total += weight * table[start + (named if vertices > limit else own)]
        features.extend(total)
        start += min(vertices, limit)
    return np.array(features)


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_values_are_the_obvious_ones(backend):
    made, where = grid(backend, torch.float64), points(40, torch.float64)
    assert made.resolutions == (2, 3, 5, 8)
    expected = np.stack([obvious(made, position) for position in where])
    np.testing.assert_allclose(made(where).detach(), expected, atol=1e-14)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-13)])
def test_compiled_values_and_gradients_are_the_references(dtype, tolerance):
    where = points(5000, dtype)
    weights = torch.randn(len(where), 8, dtype=dtype, generator=generator_at(0, 0, "weights"))
    values, gradients = [], []
    for backend in ("torch", "numba"):
        made = grid(backend, dtype)
        encoded = made(where)
        (encoded * weights).sum().backward()
        values.append(encoded.detach())
        gradients.append(made.table.grad)
    torch.testing.assert_close(values[1], values[0], atol=tolerance, rtol=0)
    # A table's entry sums up to a thousand contributions of order one, in another order.
    torch.testing.assert_close(gradients[1], gradients[0], atol=300 * tolerance, rtol=0)
    assert float(gradients[0].abs().max()) > 1


@pytest.mark.parametrize("active", [4, 2])
def test_what_runs_on_cuda_has_the_references_values_and_gradients(monkeypatch, active):
    monkeypatch.setattr(hash_grid, "_Compiled", hash_grid._Recomputed)
    where = points(5000, torch.float64)
    weights = torch.randn(
        len(where), 8, dtype=torch.float64, generator=generator_at(0, 0, "weights")
    )
    found = []
    for backend in ("torch", "numba"):
        made = grid(backend, torch.float64)
        made.active_levels = active
        encoded = made(where)
        (encoded * weights).sum().backward()
        found.append((encoded.detach(), made.table.grad))
    assert torch.equal(found[1][0], found[0][0])
    torch.testing.assert_close(found[1][1], found[0][1], atol=1e-11, rtol=0)


def test_what_runs_on_cuda_copies_nothing_to_the_device(monkeypatch):
    made, where = grid("torch"), points(5)
    monkeypatch.setattr(torch, "tensor", lambda *_, **__: pytest.fail("copied"))
    made(where).sum().backward()


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_gradients_are_finite_differences(backend):
    made, where = grid(backend, torch.float64), points(12, torch.float64)

    def encode(table):
        return torch.func.functional_call(made, {"table": table}, (where,))

    start = made.table.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(encode, (start,), fast_mode=True)


def test_the_gradient_is_the_same_to_the_bit_each_time():
    made, where = grid("numba"), points(5000)
    weights = torch.randn(len(where), 8, generator=generator_at(0, 0, "weights"))
    first, second = (
        torch.autograd.grad((made(where) * weights).sum(), made.table)[0] for _ in range(2)
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_levels_that_are_not_active_give_zeros_and_learn_nothing(backend):
    made, where = grid(backend), points(50)
    everything = made(where).detach()
    made.active_levels = 2
    encoded = made(where)
    torch.testing.assert_close(encoded[:, :4], everything[:, :4], rtol=0, atol=0)
    assert float(encoded.detach()[:, 4:].abs().max()) == 0
    encoded.sum().backward()
    assert float(made.table.grad[:91].abs().sum()) > 0  # 27 + 64 entries
    assert float(made.table.grad[91:].abs().sum()) == 0


def test_both_backends_start_from_the_same_small_entries():
    ours, reference = (
        HashGrid(**SMALL, backend=name, generator=generator_at(0, 0, "grid"))
        for name in ("numba", "torch")
    )
    assert torch.equal(ours.table, reference.table)
    assert 0.9e-4 < float(ours.table.detach().abs().max()) <= 1e-4
    assert len(ours.table) == 27 + 64 + 128 + 128
    assert list(ours.state_dict()) == ["table"]


def test_no_points_give_no_features():
    for backend in ("torch", "numba"):
        made = grid(backend)
        encoded = made(torch.zeros(0, 3))
        assert encoded.shape == (0, 8)
        encoded.sum().backward()
        assert float(made.table.grad.abs().max()) == 0


def test_a_missing_library_is_announced_and_replaced(monkeypatch):
    monkeypatch.setitem(sys.modules, "tinycudann", None)
    with pytest.warns(RuntimeWarning, match="backend='tinycudann' needs the package tinycudann"):
        made = HashGrid(**SMALL, backend="tinycudann")
    assert made.backend == "numba"
    assert made(torch.zeros(1, 3)).shape == (1, 8)


def test_a_library_that_cannot_be_imported_is_replaced_with_its_own_words(tmp_path, monkeypatch):
    broken = "raise OSError('Unknown compute capability.\\nSpecify TCNN_CUDA_ARCHITECTURES.')"
    (tmp_path / "tinycudann.py").write_text(broken)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.warns(RuntimeWarning, match=r"\(OSError: Unknown compute capability\. Specify"):
        assert usable_backend("tinycudann", torch.device("cuda")) == "numba"


class Library(torch.nn.Module):
    """What tinycudann offers here: as many numbers as asked for, each a point's first coordinate."""

    def __init__(self, n_input_dims, encoding_config, seed=1337, dtype=None):
        super().__init__()
        self.seed = seed
        self.count = encoding_config["n_levels"] * encoding_config["n_features_per_level"]

    def forward(self, positions):
        return positions[:, :1].expand(-1, self.count)


@pytest.fixture
def library(monkeypatch):
    module = types.SimpleNamespace(Encoding=Library)
    monkeypatch.setitem(sys.modules, "tinycudann", module)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


def test_the_librarys_grid_is_drawn_by_the_generator(library):
    def seed(number):
        draw = generator_at(number, 0, "grid")
        return HashGrid(**SMALL, backend="tinycudann", generator=draw)._library.seed

    assert seed(0) == seed(0) != seed(1)


def test_positions_are_clamped_before_the_library_too(library):
    made = HashGrid(**SMALL, backend="tinycudann")
    encoded = made(torch.tensor([[-0.3, 0.2, 1.7], [0.4, 0.2, 1.7], [1.2, 0.0, 0.0]]))
    assert encoded[:, 0].tolist() == pytest.approx([0.0, 0.4, 1.0])


def test_the_library_is_for_grids_on_cuda(library):
    assert usable_backend("tinycudann", torch.device("cuda")) == "tinycudann"
    with pytest.warns(RuntimeWarning, match="and a CUDA device; using 'numba'"):
        assert usable_backend("tinycudann", torch.device("cpu")) == "numba"


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_positions_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="positions='nan or infinity': expected finite numbers"):
        HashGrid(backend="numba")(torch.tensor([[0.1, bad, 0.2]]))
