"""How close two fitted mixtures are, every quantity in its own unit."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

FITTED = (
    "weights_",
    "means_",
    "covariances_",
    "precisions_",
    "precisions_cholesky_",
    "degrees_of_freedom_",
    "mean_precision_",
    "weight_concentration_",
    "lower_bound_",
    "n_iter_",
    "converged_",
    "weight_concentration_prior_",
    "mean_precision_prior_",
    "mean_prior_",
    "degrees_of_freedom_prior_",
    "covariance_prior_",
    "n_features_in_",
)


def deviations(model) -> NDArray:
    """Standard deviations per component and feature, at least those that `reg_covar` lets a mixture resolve."""
    components, features = model.means_.shape
    covariances = np.asarray(model.covariances_)
    if model.covariance_type == "full":
        variances = np.diagonal(covariances, axis1=1, axis2=2)
    elif model.covariance_type == "tied":
        variances = np.tile(np.diag(covariances), (components, 1))
    elif model.covariance_type == "diag":
        variances = covariances
    else:
        variances = np.repeat(covariances[:, None], features, axis=1)
    return np.sqrt(np.maximum(variances, model.reg_covar))


def counts(model) -> NDArray:
    """Rows (or their weights) that each component holds."""
    return np.asarray(model.mean_precision_) - model.mean_precision_prior_


def in_units(model, name: str, value: NDArray) -> NDArray:
    """Covariances, precisions or their Cholesky factors, per component and without the units of the features."""
    sd = deviations(model)
    kind = model.covariance_type
    if kind == "tied":
        sd = sd[0]
    if kind == "spherical":
        sd = sd[:, 0]
    matrix = kind in ("full", "tied")
    if name == "covariances_":
        scaled = value / (sd[..., :, None] * sd[..., None, :]) if matrix else value / sd**2
    elif name == "precisions_":
        scaled = value * (sd[..., :, None] * sd[..., None, :]) if matrix else value * sd**2
    else:
        scaled = value * (sd[..., :, None] if matrix else sd)
    return scaled


def assert_array_close(ours: object, theirs: object, tolerance: float, what: str) -> None:
    """Equal shapes, and differences relative to the larger of 1 and the largest value of each leading index."""
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    assert a.shape == b.shape, f"{what}: shape {a.shape}, expected {b.shape}"
    if a.size == 0:
        return
    axes = tuple(range(1, b.ndim))
    scale = np.maximum(1.0, np.max(np.abs(b), axis=axes, keepdims=True))
    worst = np.max(np.abs(a - b) / scale)
    assert worst <= tolerance, f"{what} differs by {worst:.3g} (more than {tolerance:g})"


def assert_same_parameters(ours, theirs, tolerance: float = 1e-6, *, offset: object = 0.0, held_only=False) -> None:
    """Means in sigma of their component, covariances relative to the sds, weights absolute, the rest relative.

    `offset` is what was subtracted from the rows that `theirs` saw. With `held_only` the places and widths of
    components without a row are not compared: where a feature is constant, rounding alone decides them.
    """
    chosen = counts(theirs) > 1e-6 if held_only else np.ones(len(theirs.weights_), dtype=bool)
    sd = deviations(theirs)
    shifted = np.asarray(ours.means_) - offset
    assert shifted.shape == theirs.means_.shape
    assert_array_close(((shifted - theirs.means_) / sd)[chosen], np.zeros_like(sd)[chosen], tolerance, "means_")
    for name in ("covariances_", "precisions_", "precisions_cholesky_"):
        a, b = (in_units(theirs, name, np.asarray(getattr(model, name))) for model in (ours, theirs))
        assert a.shape == b.shape, name
        if theirs.covariance_type == "tied":
            assert_array_close(a[None], b[None], tolerance, name)
        else:
            assert_array_close(a[chosen], b[chosen], tolerance, name)
    assert_array_close(ours.weights_, theirs.weights_, tolerance, "weights_")
    for name in ("degrees_of_freedom_", "mean_precision_", "weight_concentration_"):
        assert isinstance(getattr(ours, name), tuple) == isinstance(getattr(theirs, name), tuple), name
        a, b = np.asarray(getattr(ours, name)), np.asarray(getattr(theirs, name))
        assert a.shape == b.shape, name
        assert_array_close(a.ravel(), b.ravel(), tolerance, name)


def assert_same_bounds(ours, theirs, tolerance: float = 1e-6) -> None:
    """Lower bounds relative to themselves; scikit-learn's are arrays of one value where the covariance is tied."""
    for name in ("lower_bound_", "lower_bounds_"):
        a, b = np.ravel(getattr(ours, name)), np.ravel(getattr(theirs, name))
        assert a.shape == b.shape, name
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=name)


def assert_same_priors(ours, theirs, tolerance: float = 1e-6, *, offset: object = 0.0) -> None:
    """Priors relative to themselves, the mean's in units of the components' widths."""
    for name in ("weight_concentration_prior_", "mean_precision_prior_", "degrees_of_freedom_prior_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    narrowest = np.min(deviations(theirs), axis=0)
    assert np.shape(ours.mean_prior_) == np.shape(theirs.mean_prior_)
    assert np.max(np.abs(ours.mean_prior_ - offset - theirs.mean_prior_) / narrowest) <= tolerance
    assert np.shape(ours.covariance_prior_) == np.shape(theirs.covariance_prior_)
    largest = np.max(np.abs(theirs.covariance_prior_))
    np.testing.assert_allclose(ours.covariance_prior_, theirs.covariance_prior_, rtol=tolerance, atol=1e-9 * largest)


def assert_same_labels(ours: NDArray, theirs: NDArray, probabilities: NDArray, tolerance: float = 1e-6) -> None:
    """Equal except where the two largest probabilities are as good as equal."""
    assert ours.shape == theirs.shape
    assert ours.dtype.kind == "i"
    if probabilities.shape[1] > 1:
        largest = np.sort(probabilities, axis=1)
        clear = largest[:, -1] - largest[:, -2] > tolerance
        assert np.array_equal(ours[clear], theirs[clear])
    else:
        assert np.array_equal(ours, theirs)


def assert_identical(ours, theirs, names: Iterable[str] = FITTED) -> None:
    """The same to the bit in every fitted attribute."""
    for name in names:
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name, strict=False)
