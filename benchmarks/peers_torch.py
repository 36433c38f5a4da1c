"""torchgmm's mixture on the CPU: maximum likelihood by EM with PyTorch, and the column encoded with tensors."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.peers_drawn import COMPONENTS, FLOOR, LIMIT, Drawn
from benchmarks.peers_sides import Mixture, numbers_of

#: Lightning's trainer on one core, without bars, checkpoints and logs.
TRAINER = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_checkpointing": False,
    "enable_model_summary": False,
}


@dataclass
class TorchMixture(Drawn):
    """One column as a float32 tensor, as torchgmm wants it."""

    def prepare(self, table: pa.Table) -> Any:
        import torch

        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        torch.set_num_threads(1)
        return torch.from_numpy(numbers_of(table, self.names[0]).astype(np.float32)[:, None])

    def fit(self, rows: Any) -> None:
        import torch
        from torchgmm.bayes import GaussianMixture

        random.seed(0)  # both generators choose the start
        torch.manual_seed(0)
        trainer = TRAINER | {"max_epochs": self.most_iterations}
        self.fitted = GaussianMixture(COMPONENTS, covariance_type="diag", trainer_params=trainer).fit(rows)
        model, self.iterations = self.fitted.model_, int(self.fitted.num_iter_)
        parts = (model.component_probs, model.means[:, 0], model.covariances[:, 0].sqrt())
        self.keep(Mixture(*(part.double().numpy() for part in parts)))
        kept = [torch.from_numpy(part.astype(np.float32)) for part in (self.means, self.widths)]
        self.chosen, (self.mean_tensor, self.width_tensor) = torch.from_numpy(self.active), kept

    def transform(self, rows: Any) -> Any:
        import torch

        mode = torch.multinomial(self.fitted.predict_proba(rows)[:, self.chosen] + FLOOR, 1)[:, 0]
        scalar = (rows[:, 0] - self.mean_tensor[mode]) / self.width_tensor[mode]
        return {"scalar": scalar.clamp(-LIMIT, LIMIT), "mode": mode}

    def inverse(self, encoded: Any) -> Any:
        mode = encoded["mode"]
        return {self.names[0]: encoded["scalar"].clamp(-1, 1) * self.width_tensor[mode] + self.mean_tensor[mode]}
