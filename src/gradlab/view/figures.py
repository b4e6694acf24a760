"""All figures of one run, drawn from its files."""

from pathlib import Path

from gradlab.artifacts import read
from gradlab.view import flow, heatmap, neighbours, range_test, style, theory, timesteps, training


def draw_run(run_dir: Path, *, caption: str) -> list[Path]:
    """Draw a run's figures into ``run_dir/figures``, each as PNG and SVG; the same files give the same bytes.

    A figure for which nothing was recorded is left out: update ratios where no update was made, for instance.

    Args:
        run_dir: A run's folder with ``gradients.csv``, and ``metrics.csv`` unless nobody measured a loss.
        caption: The configuration that was run, printed small below each figure.

    Returns:
        The files written.

    Raises:
        FileNotFoundError: There is no ``gradients.csv``.
        ValueError: A table lacks a column, or a row is broken.
    """
    folder = run_dir / "figures"
    folder.mkdir(exist_ok=True)
    drawn = _draw_range_test(run_dir, folder, caption=caption) if (run_dir / "lr_range.csv").exists() else []
    if drawn and not (run_dir / "metrics.csv").exists():  # nothing else was done
        return drawn
    layers = read.read_layers(run_dir, (flow.FORWARD, flow.BACKWARD, training.UPDATE))
    metrics = read.read_metrics(run_dir, ("step", "train_loss", "eval_loss", "eval_accuracy", "lr"))
    line = theory.read_line(run_dir, flow.BACKWARD)
    figures = [
        ("gradient_flow", layers.steps.size, lambda: flow.gradient_flow(layers, caption=caption, theory=line)),
        ("gradient_heatmap", layers.steps.size, lambda: heatmap.gradient_heatmap(layers, caption=caption)),
        ("loss", metrics["step"].size, lambda: training.loss(metrics, caption=caption)),
        (
            "update_ratio",
            layers.columns[training.UPDATE].count(),
            lambda: training.update_ratio(layers, caption=caption),
        ),
    ]
    if (run_dir / timesteps.FILE).exists():
        times = timesteps.read_times(run_dir)
        figures += [
            ("timestep_flow", times.steps.size, lambda: timesteps.timestep_flow(times, caption=caption)),
            ("timestep_heatmap", times.steps.size, lambda: timesteps.timestep_heatmap(times, caption=caption)),
        ]
    if (run_dir / neighbours.FILE).exists():
        found = neighbours.read_neighbours(run_dir)
        figures.append(("likeness", found.depths.size, lambda: neighbours.likeness(found, caption=caption)))
    with style.look():
        return drawn + [path for name, recorded, draw in figures if recorded for path in draw().save(folder, name)]


def _draw_range_test(run_dir: Path, folder: Path, *, caption: str) -> list[Path]:
    table = read.read_metrics(run_dir, range_test.COLUMNS, name="lr_range.csv")
    with style.look():
        return range_test.lr_range(table, range_test.read_found(run_dir), caption=caption).save(folder, "lr_range")
