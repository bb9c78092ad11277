//! The figures as SVG: bars and curves, each with its spread.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::coord::ranged1d::Ranged;
use plotters::element::ErrorBarOrientV;
use plotters::prelude::*;

use super::experiments::consuming;
use super::experiments::seeding::{self, growth_name, window_name};
use super::results::{Lane, Race, Results, Tally, Who};
use super::samples::Summary;

const SIZE: (u32, u32) = (860, 420);
/// The legend is to stand above what is drawn, as far as that is linear.
const ROOM_FOR_LEGEND: f64 = 1.45;
const WINDOWS: [u64; 5] = [1, 20, 200, 1000, 5000];
const COUNTS: [u64; 3] = [10_000, 100_000, 1_000_000];

const LEVEL_COLORS: [RGBColor; 6] = [
    RGBColor(80, 160, 220),
    RGBColor(222, 121, 35),
    RGBColor(60, 60, 60),
    RGBColor(150, 150, 150),
    RGBColor(90, 150, 70),
    RGBColor(160, 90, 160),
];

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A named row of values with their spread.
struct Series {
    name: String,
    color: RGBColor,
    /// Where on the horizontal axis, and what was measured.
    points: Vec<(f64, Summary)>,
}

/// Draws all plots whose figures were measured, and gives their file names without the ending.
pub(crate) fn draw(results: &Results, folder: &Path) -> Result<Vec<&'static str>> {
    let mut drawn = Vec::new();
    let mut plot = |name, what: Option<Plot>| -> Result<()> {
        if let Some(plot) = what {
            plot.save(&folder.join(format!("{name}.svg")))?;
            drawn.push(name);
        }
        Ok(())
    };
    plot("one-shot", one_shot(results))?;
    plot("round-trips", results.tally("round-trips").map(round_trips))?;
    plot("seeding", results.race("seeding").map(seeding_windows))?;
    plot("consuming", consuming_rates(results))?;
    let growth = results.race("seeding-growth");
    plot("growth-time", growth.map(growth_time))?;
    plot("growth-memory", growth.map(growth_memory))?;
    Ok(drawn)
}

enum Plot {
    Bars(Bars),
    Curves(Curves),
}

/// Groups of bars side by side, one color a series.
struct Bars {
    title: String,
    axis: &'static str,
    groups: Vec<String>,
    /// The horizontal place of a point is its group's number.
    series: Vec<Series>,
}

/// Lines over a logarithmic horizontal axis, with levels that do not depend on it.
struct Curves {
    title: String,
    horizontal: &'static str,
    vertical: &'static str,
    logarithmic: bool,
    series: Vec<Series>,
    levels: Vec<(String, f64)>,
}

impl Plot {
    fn save(&self, file: &Path) -> Result<()> {
        let canvas = SVGBackend::new(file, SIZE).into_drawing_area();
        canvas.fill(&WHITE).map_err(failed)?;
        match self {
            Plot::Bars(bars) => bars.draw(&canvas)?,
            Plot::Curves(curves) => curves.draw(&canvas)?,
        }
        canvas.present().map_err(failed)
    }
}

fn failed<E: std::fmt::Display>(error: E) -> anyhow::Error {
    anyhow!("drawing a plot: {error}")
}

fn color(who: Who) -> RGBColor {
    match who {
        Who::Ours => RGBColor(27, 94, 160),
        Who::Reference => RGBColor(222, 121, 35),
        Who::Script => RGBColor(90, 150, 70),
        Who::Dispatcher => RGBColor(150, 90, 160),
        Who::Limit => RGBColor(130, 130, 130),
    }
}

fn who_is(who: Who) -> &'static str {
    match who {
        Who::Ours => "ours",
        Who::Reference => "amqp-tools",
        Who::Script => "Python, pika",
        Who::Dispatcher => "dispatcher",
        Who::Limit => "physical limit",
    }
}

fn one_shot(results: &Results) -> Option<Plot> {
    let tasks = ["declare", "publish", "get", "consume"];
    let races: Vec<&Race> = tasks
        .iter()
        .filter_map(|task| results.race(&format!("one-shot-{task}")))
        .collect();
    let series = [Who::Ours, Who::Reference, Who::Script].map(|who| {
        let milliseconds = |race: &Race| {
            let lane = race.lanes.iter().find(|lane| lane.who == who)?;
            Some(lane.time()?.map(|seconds| seconds * 1000.0))
        };
        Series::of(
            who_is(who),
            color(who),
            races.iter().map(|race| milliseconds(race)),
        )
    });
    (races.len() == tasks.len()).then(|| {
        Plot::Bars(Bars {
            title: "One run, from the process's start to its end".to_owned(),
            axis: "milliseconds",
            groups: tasks.map(str::to_owned).into(),
            series: series.into(),
        })
    })
}

fn round_trips(tally: &Tally) -> Plot {
    let tasks = ["declare", "publish", "get", "consume"];
    let series = [Who::Ours, Who::Reference, Who::Script].map(|who| {
        let values = tasks.map(|task| tally.row(task, who)?.summary());
        Series::of(who_is(who), color(who), values)
    });
    Plot::Bars(Bars {
        title: tally.title.clone(),
        axis: "round trips",
        groups: tasks.map(str::to_owned).into(),
        series: series.into(),
    })
}

fn consuming_rates(results: &Results) -> Option<Plot> {
    let names = consuming::COMMANDS.map(|(name, _)| name);
    let races: Option<Vec<&Race>> = names
        .iter()
        .map(|name| results.race(&consuming::race_id(name)))
        .collect();
    let races = races?;
    let mut lanes = vec![("reference, -p 1".to_owned(), color(Who::Reference))];
    for (jobs, blue) in consuming::JOBS.into_iter().zip([230, 190, 140]) {
        lanes.push((consuming::ours_name(jobs), RGBColor(27, 94, blue)));
    }
    for (jobs, gray) in [(1, 150), (2, 110)] {
        lanes.push((consuming::bare_name(jobs), RGBColor(gray, gray, gray)));
    }
    let series = lanes.into_iter().map(|(name, color)| {
        let speeds = races.iter().map(|race| race.lane(&name)?.rate());
        Series::of(&name, color, speeds)
    });
    Some(Plot::Bars(Bars {
        title: "Consuming: a command a message".to_owned(),
        axis: "messages a second",
        groups: names.map(str::to_owned).into(),
        series: series.collect(),
    }))
}

fn seeding_windows(race: &Race) -> Plot {
    let rates = WINDOWS.iter().filter_map(|window| {
        let speed = race.lane(&window_name(*window))?.rate()?;
        Some((log(*window), speed))
    });
    let lanes = [
        ("unconfirmed", "ours, unconfirmed"),
        (seeding::REFERENCE, seeding::REFERENCE),
        ("raw frames, unconfirmed", "raw frames, unconfirmed"),
        ("raw frames, confirmed", "raw frames, confirmed"),
        ("pika, unconfirmed", "pika, unconfirmed"),
        ("pika, confirmed", "pika, confirmed"),
    ];
    let levels = lanes.into_iter().filter_map(|(lane, name)| {
        let speed = race.lane(lane)?.rate()?;
        Some((name.to_owned(), speed.median))
    });
    Plot::Curves(Curves {
        title: "Seeding lines of 10 bytes".to_owned(),
        horizontal: "unconfirmed messages at most (--max-in-flight)",
        vertical: "messages a second",
        logarithmic: false,
        series: vec![Series {
            name: "ours, confirmed".to_owned(),
            color: color(Who::Ours),
            points: rates.collect(),
        }],
        levels: levels.collect(),
    })
}

fn growth_time(race: &Race) -> Plot {
    growth(race, "Growth: time to seed", "seconds", true, Lane::time)
}

fn growth_memory(race: &Race) -> Plot {
    growth(
        race,
        "Growth: peak memory of seeding",
        "MiB",
        false,
        Lane::peak_mib,
    )
}

fn growth(
    race: &Race,
    title: &str,
    vertical: &'static str,
    logarithmic: bool,
    value: impl Fn(&Lane) -> Option<Summary>,
) -> Plot {
    let lines = [
        ("confirmed", "ours, confirmed", Who::Ours),
        (seeding::REFERENCE, seeding::REFERENCE, Who::Reference),
    ];
    let series = lines.map(|(lane, name, who)| {
        let points = COUNTS.iter().filter_map(|count| {
            Some((log(*count), value(race.lane(&growth_name(lane, *count))?)?))
        });
        Series {
            name: name.to_owned(),
            color: color(who),
            points: points.collect(),
        }
    });
    Plot::Curves(Curves {
        title: title.to_owned(),
        horizontal: "messages",
        vertical,
        logarithmic,
        series: series.into(),
        levels: Vec::new(),
    })
}

#[allow(clippy::cast_precision_loss)] // at most a million
fn log(count: u64) -> f64 {
    (count as f64).log10()
}

/// What stands at the mark `exponent` of a logarithmic axis.
fn power(exponent: f64) -> String {
    let value = 10_f64.powf(exponent);
    let digits = match value {
        1.0.. => 0,
        0.1.. => 1,
        0.01.. => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

impl Series {
    /// A series whose points are at 0, 1, 2 ...; what was not measured leaves a gap.
    fn of(name: &str, color: RGBColor, values: impl IntoIterator<Item = Option<Summary>>) -> Self {
        let places = (0..).map(f64::from);
        Self {
            name: name.to_owned(),
            color,
            points: places
                .zip(values)
                .filter_map(|(place, value)| Some((place, value?)))
                .collect(),
        }
    }

    fn maximum(&self) -> f64 {
        let maxima = self.points.iter().map(|(_, summary)| summary.maximum);
        maxima.fold(0.0, f64::max)
    }
}

impl Bars {
    fn draw(&self, canvas: &Canvas<'_>) -> Result<()> {
        let groups = u32::try_from(self.groups.len())?;
        let top = self.series.iter().map(Series::maximum).fold(0.0, f64::max) * ROOM_FOR_LEGEND;
        let mut chart = ChartBuilder::on(canvas)
            .caption(&self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(34)
            .y_label_area_size(64)
            .build_cartesian_2d(-0.5..f64::from(groups) - 0.5, 0.0..top)
            .map_err(failed)?;
        let name_of = |place: &f64| {
            let near = |number: &u32| (f64::from(*number) - place).abs() < 0.01;
            let found = (0..groups)
                .find(near)
                .and_then(|number| usize::try_from(number).ok());
            found.map_or(String::new(), |number| self.groups[number].clone())
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(2 * self.groups.len() + 1)
            .x_label_formatter(&name_of)
            .y_desc(self.axis)
            .draw()
            .map_err(failed)?;
        let width = 0.8 / f64::from(u32::try_from(self.series.len())?);
        for (number, series) in (0..).map(f64::from).zip(&self.series) {
            let left = -0.4 + number * width;
            let bars = series.points.iter().map(|(place, summary)| {
                let corners = [
                    (place + left, 0.0),
                    (place + left + width * 0.9, summary.median),
                ];
                Rectangle::new(corners, series.color.filled())
            });
            let color = series.color;
            chart
                .draw_series(bars)
                .map_err(failed)?
                .label(series.name.as_str())
                .legend(move |(x, y)| {
                    Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled())
                });
            let middle = left + width * 0.45;
            chart
                .draw_series(
                    series
                        .points
                        .iter()
                        .map(|(place, summary)| spread(place + middle, summary)),
                )
                .map_err(failed)?;
        }
        legend(&mut chart)
    }
}

/// From the least to the greatest value, the median marked.
fn spread(place: f64, summary: &Summary) -> ErrorBar<f64, f64, ErrorBarOrientV<f64, f64>> {
    ErrorBar::new_vertical(
        place,
        summary.minimum,
        summary.median,
        summary.maximum,
        BLACK.mix(0.8).filled(),
        6,
    )
}

impl Curves {
    fn draw(&self, canvas: &Canvas<'_>) -> Result<()> {
        let vertical = |value: f64| {
            if self.logarithmic {
                value.log10()
            } else {
                value
            }
        };
        let (bottom, top) = self.vertical_range();
        let places = self.series.iter().flat_map(|series| &series.points);
        let (left, right) = places.fold((f64::MAX, f64::MIN), |(low, high), (place, _)| {
            (low.min(*place), high.max(*place))
        });
        let mut chart = ChartBuilder::on(canvas)
            .caption(&self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(left - 0.1..right + 0.1, bottom..top)
            .map_err(failed)?;
        let plain = |value: &f64| format!("{value:.0}");
        let powers = |value: &f64| power(*value);
        let mut mesh = chart.configure_mesh();
        mesh.x_label_formatter(&powers)
            .x_desc(self.horizontal)
            .y_desc(self.vertical);
        if self.logarithmic {
            mesh.y_label_formatter(&powers);
        } else {
            mesh.y_label_formatter(&plain);
        }
        mesh.x_labels(6).draw().map_err(failed)?;
        for series in &self.series {
            let line = series
                .points
                .iter()
                .map(|(place, summary)| (*place, vertical(summary.median)));
            let color = series.color;
            chart
                .draw_series(LineSeries::new(line, color.stroke_width(2)))
                .map_err(failed)?
                .label(series.name.as_str())
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 14, y)], color.stroke_width(2))
                });
            let spreads = series
                .points
                .iter()
                .map(|(place, summary)| spread(*place, &summary.map(vertical)));
            chart.draw_series(spreads).map_err(failed)?;
        }
        for (number, (name, level)) in self.levels.iter().enumerate() {
            let color = LEVEL_COLORS[number % LEVEL_COLORS.len()];
            let ends = [
                (left - 0.1, vertical(*level)),
                (right + 0.1, vertical(*level)),
            ];
            chart
                .draw_series(DashedLineSeries::new(ends, 6, 4, color.stroke_width(1)))
                .map_err(failed)?
                .label(name.as_str())
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 14, y)], color.stroke_width(1))
                });
        }
        legend(&mut chart)
    }

    fn vertical_range(&self) -> (f64, f64) {
        let levels = self.levels.iter().map(|(_, level)| *level);
        let top = self
            .series
            .iter()
            .map(Series::maximum)
            .chain(levels)
            .fold(0.0, f64::max);
        if !self.logarithmic {
            return (0.0, top * ROOM_FOR_LEGEND);
        }
        let points = self.series.iter().flat_map(|series| &series.points);
        let bottom = points
            .map(|(_, summary)| summary.minimum)
            .fold(f64::MAX, f64::min);
        (bottom.log10().floor(), top.log10().ceil())
    }
}

fn legend<'a, X, Y>(chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>) -> Result<()>
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()
        .map_err(failed)
}
