"""What the tests of the model card share."""

import pytest

from sdilib.lab.train.evaluator import EvaluatorConfig, train_evaluator
from sdilib.lab.train.loop import LoopConfig


@pytest.fixture(scope="session")
def judge(tmp_path_factory):
    """An evaluator of random weights, nearly."""
    loop = LoopConfig(steps=1, learning_rate=1e-3, save_seconds=1e9, export_seconds=1e9)
    config = EvaluatorConfig(
        width=16, layers=1, heads=2, embedding=8, batch=4, count=8, test_count=16, loop=loop
    )
    out = tmp_path_factory.mktemp("judge")
    train_evaluator(config, out=out, image_size=16)
    return out / "evaluator"
