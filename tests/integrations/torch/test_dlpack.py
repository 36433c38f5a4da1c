"""Matrices that PyTorch takes over without a copy."""

from __future__ import annotations

import numpy as np
import pytest

from gpuvgm import TableTransformer

torch = pytest.importorskip("torch", reason="torch is not installed")


def test_a_matrix_becomes_a_tensor_in_the_same_memory() -> None:
    rows = {"x": np.random.default_rng(0).lognormal(size=1000), "y": np.repeat(["a", "b"], 500)}
    matrix = TableTransformer(effort="research").fit_transform(rows, layout="onehot")
    tensor = torch.from_dlpack(matrix)
    assert tensor.dtype == torch.float32
    assert tuple(tensor.shape) == matrix.shape
    matrix[3, 0] = 0.25
    assert tensor[3, 0] == 0.25


def test_batches_feed_a_training_loop() -> None:
    random = np.random.default_rng(1)
    rows = {"x": random.normal(size=4000), "y": random.choice(["a", "b"], 4000)}
    transformer = TableTransformer(effort="research").fit(rows)
    width = len(transformer.get_feature_names_out(layout="onehot"))
    model = torch.nn.Linear(width, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for epoch in range(3):
        for batch in transformer.iter_batches(rows, 500, seed=epoch, drop_last=True):
            tensor = torch.from_dlpack(batch)
            loss = torch.mean((model(tensor)[:, 0] - tensor[:, -1]) ** 2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    assert len(losses) == 3 * 8
    assert np.mean(losses[-8:]) < np.mean(losses[:8])
