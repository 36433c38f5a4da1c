"""Pictures of two tables, with matplotlib (extra ``report``)."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuvgm.columns import new_axes
from gpuvgm.report.pictures import Axis, JointShares, Shares

ORIGINAL, SYNTHETIC = "tab:blue", "tab:orange"
_ROWS, _COLUMNS, _HEIGHT = 3, 2, 2.6
MOST_DRAWN = _ROWS * _COLUMNS
_BAR = 0.4  # of the place of a category
_ROOM = 1.35  # for the legend, beside the longest bar


def draw_shares(shares: Shares, ax: Any = None) -> Any:
    """Draw both tables on one axis: bins as areas, categories as pairs of bars."""
    ax = new_axes()[0, 0] if ax is None else ax
    ax.spines[["top", "right"]].set_visible(False)
    if shares.axis.named:
        places = np.arange(len(shares.original))
        ax.barh(places - _BAR / 2, shares.original, _BAR, color=ORIGINAL, label="original")
        ax.barh(places + _BAR / 2, shares.synthetic, _BAR, color=SYNTHETIC, label="synthetic")
        ax.set_yticks(places, [tick.text for tick in shares.axis.ticks], parse_math=False)
        ax.invert_yaxis()
        ax.set_xlim(0, _ROOM * max(*shares.original, *shares.synthetic))
        values = ax.xaxis
    else:
        original, synthetic = shares.heights
        ax.stairs(original, shares.axis.places, fill=True, alpha=0.4, color=ORIGINAL, label="original")
        ax.stairs(synthetic, shares.axis.places, color=SYNTHETIC, linewidth=1.5, label="synthetic")
        _label_axis(ax.xaxis, shares.axis)
        ax.set(xlim=(0, 1), ylim=(0, None))
        values = ax.yaxis
    values.set_major_formatter(lambda part, _: f"{100 * part:.3g} %")
    scale = f", {shares.axis.scale}" if shares.axis.scale else ""
    ax.set_title(f"{shares.axis.title}{scale}", parse_math=False, fontsize="medium")
    ax.legend(frameon=False, fontsize="small")
    return ax


def draw_all(pictures: list[Shares]) -> Any:
    """Draw the first few, each on axes of its own."""
    pictures = pictures[:MOST_DRAWN]
    columns = min(_COLUMNS, len(pictures))
    axes = new_axes(-(-len(pictures) // columns), columns, height=_HEIGHT).ravel()
    for ax, shares in zip(axes, pictures, strict=False):
        draw_shares(shares, ax)
    for ax in axes[len(pictures) :]:
        ax.remove()
    return axes[: len(pictures)]


def draw_pair(joint: JointShares, axes: Any = None) -> Any:
    """Draw both tables as heat maps on one scale of colours, side by side."""
    axes = new_axes(1, 2)[0] if axes is None else axes
    for ax, title, table in zip(axes, ("original", "synthetic"), (joint.original, joint.synthetic), strict=True):
        mesh = ax.pcolormesh(
            joint.across.places,
            joint.upwards.places,
            table.T,
            vmin=0.0,
            vmax=joint.largest,
            cmap="Blues",
            rasterized=True,
        )
        _label_axis(ax.xaxis, joint.across)
        _label_axis(ax.yaxis, joint.upwards)
        ax.set_title(title, fontsize="medium")
        ax.set_xlabel(joint.across.title, parse_math=False)
        ax.set_ylabel(joint.upwards.title, parse_math=False)
        if joint.across.named:
            ax.tick_params(axis="x", rotation=45)
    bar = axes[-1].figure.colorbar(mesh, ax=axes)
    bar.set_label("share of rows")
    return axes


def _label_axis(side: Any, axis: Axis) -> None:
    """Ticks of an axis of places."""
    side.set_ticks([tick.place for tick in axis.ticks], [tick.text for tick in axis.ticks], parse_math=False)
