//! Pictures of reports: bars in groups, or lines.

use std::ops::Range;

use anyhow::{Context, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::report::{Cell, Report, wrap};

const SIZE: (u32, u32) = (760, 380);
/// Told apart by those who see fewer colours, too.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
];
const FONT: &str = "sans-serif";
/// Width of a letter of the labels, about.
const LETTER: usize = 6;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What a picture shows of a report. Columns are named.
#[derive(Debug)]
pub(super) struct Chart {
    kind: Kind,
    /// What the groups of bars, or the places of points, are.
    across: &'static [&'static str],
    /// Whose texts tell series apart, if there is one.
    by: Option<&'static str>,
    /// What is shown.
    values: &'static [&'static str],
    /// Logarithmic scales.
    log: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bars,
    Lines,
}

impl Chart {
    /// Bars for the values of each group of rows.
    pub(super) fn bars(across: &'static [&'static str], values: &'static [&'static str]) -> Self {
        Self {
            kind: Kind::Bars,
            across,
            by: None,
            values,
            log: false,
        }
    }

    /// Values along an axis.
    pub(super) fn lines(across: &'static [&'static str], values: &'static [&'static str]) -> Self {
        let kind = Kind::Lines;
        Self {
            kind,
            ..Self::bars(across, values)
        }
    }

    /// A series for each text in this column.
    pub(super) fn by(self, column: &'static str) -> Self {
        let by = Some(column);
        Self { by, ..self }
    }

    /// With logarithmic scales.
    pub(super) fn log(self) -> Self {
        Self { log: true, ..self }
    }
}

/// Values by the number of their group, or of their place along the axis.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
}

/// A scale of one axis.
struct Scale {
    log: bool,
    range: Range<f64>,
}

impl Scale {
    /// One on which all of these are.
    fn of(log: bool, values: impl Iterator<Item = f64> + Clone) -> Self {
        let most = values.clone().fold(f64::MIN, f64::max);
        let values = values.filter(|value| *value > 0.0);
        let least = values.fold(f64::MAX, f64::min).min(most.max(1e-9));
        let range = match log {
            true => {
                let (low, high) = (least.log10().floor(), most.max(least).log10().ceil());
                low..high.max(low + 1.0)
            }
            false => 0.0..if most > 0.0 { most * 1.1 } else { 1.0 },
        };
        Self { log, range }
    }

    fn at(&self, value: f64) -> f64 {
        match self.log {
            true if value > 0.0 => value.log10(),
            true => self.range.start,
            false => value,
        }
    }

    fn label(&self, at: f64) -> String {
        let value = match self.log {
            true if (at - at.round()).abs() > 1e-6 => return String::new(),
            true => 10f64.powf(at.round()),
            false => at,
        };
        let (of, sign) = match value {
            value if value >= 1e9 => (1e9, " G"),
            value if value >= 1e6 => (1e6, " M"),
            value if value >= 1e4 => (1e3, " k"),
            _ => (1.0, ""),
        };
        let shown = format!("{:.6}", value / of);
        let shown = shown.trim_end_matches('0').trim_end_matches('.');
        format!("{shown}{sign}")
    }

    /// Most labels along the axis.
    fn labels(&self) -> usize {
        match self.log {
            true => (self.range.end - self.range.start) as usize + 1,
            false => 8,
        }
    }
}

/// The picture, as SVG.
pub(super) fn draw(report: &Report<'_>) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        paint(report, &area).map_err(|what| anyhow!("drawing: {what:#}"))?;
        area.present().map_err(|what| anyhow!("drawing: {what}"))?;
    }
    Ok(svg)
}

fn paint(report: &Report<'_>, area: &Area<'_>) -> Result<()> {
    let chart = &report.about.chart;
    let (groups, series) = series(report)?;
    let unit = match chart.values {
        [name] => report.about.columns[column(report, name)?].title(),
        [name, ..] => report.about.columns[column(report, name)?].unit.to_owned(),
        [] => String::new(),
    };
    let of_values = series.iter().flat_map(|one| &one.points).map(|at| at.1);
    let up = Scale::of(chart.log, of_values);
    let across = match chart.kind {
        Kind::Bars => Scale {
            log: false,
            range: 0.0..groups.len().max(1) as f64,
        },
        Kind::Lines => {
            let places = series.iter().flat_map(|one| &one.points).map(|at| at.0);
            Scale::of(chart.log, places)
        }
    };
    area.fill(&WHITE)?;
    let title = wrap(&report.about.title, SIZE.0 as usize / 8);
    let mut builder = ChartBuilder::on(area);
    builder
        .margin(12)
        .margin_top(14 + 18 * title.len() as u32)
        .x_label_area_size(44)
        .y_label_area_size(72);
    let mut plot = builder.build_cartesian_2d(across.range.clone(), up.range.clone())?;
    let bold = (FONT, 15).into_font().style(FontStyle::Bold).color(&BLACK);
    for (line, text) in title.iter().enumerate() {
        area.draw(&Text::new(
            text.clone(),
            (12, 10 + 18 * line as i32),
            bold.clone(),
        ))?;
    }
    let small = (FONT, 12).into_font().color(&BLACK);
    let mut mesh = plot.configure_mesh();
    let (across_label, up_label) = (|at: &f64| across.label(*at), |at: &f64| up.label(*at));
    mesh.disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .y_labels(up.labels())
        .y_label_formatter(&up_label)
        .y_desc(unit)
        .label_style(small.clone());
    if chart.kind == Kind::Lines {
        mesh.x_labels(across.labels())
            .x_label_formatter(&across_label)
            .x_desc(report.about.columns[column(report, chart.across[0])?].title());
    } else {
        mesh.x_labels(0);
    }
    mesh.draw()?;

    for (number, one) in series.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let drawn = match chart.kind {
            Kind::Bars => {
                let width = 0.8 / series.len() as f64;
                plot.draw_series(one.points.iter().map(|(group, value)| {
                    let left = group + 0.1 + width * number as f64;
                    let (foot, top) = (up.range.start, up.at(*value));
                    let corners = [(left, foot), (left + width * 0.95, top)];
                    Rectangle::new(corners, colour.filled())
                }))?
            }
            Kind::Lines => {
                let points = one.points.iter().map(|(x, y)| (across.at(*x), up.at(*y)));
                let points: Vec<_> = points.collect();
                plot.draw_series(points.iter().map(|at| Circle::new(*at, 3, colour.filled())))?;
                plot.draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            }
        };
        drawn
            .label(one.name.clone())
            .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 12, y + 4)], colour.filled()));
    }
    if chart.kind == Kind::Bars {
        let centred = small.pos(Pos::new(HPos::Center, VPos::Top));
        let width = SIZE.0 as usize * 85 / 100 / groups.len().max(1);
        for (number, name) in groups.iter().enumerate() {
            let (x, y) = plot.backend_coord(&(number as f64 + 0.5, up.range.start));
            for (line, text) in wrap(name, width / LETTER).into_iter().enumerate() {
                area.draw(&Text::new(
                    text,
                    (x, y + 6 + 13 * line as i32),
                    centred.clone(),
                ))?;
            }
        }
    }
    if series.len() > 1 {
        plot.configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .label_font((FONT, 12))
            .draw()?;
    }
    Ok(())
}

/// The names of the groups, and the series.
fn series(report: &Report<'_>) -> Result<(Vec<String>, Vec<Series>)> {
    let chart = &report.about.chart;
    let across = chart.across.iter().map(|name| column(report, name));
    let across: Vec<usize> = across.collect::<Result<_>>()?;
    let by = chart.by.map(|name| column(report, name)).transpose()?;
    let (mut groups, mut series) = (Vec::<String>::new(), Vec::<Series>::new());
    for row in &report.rows {
        let names = across.iter().map(|at| match &row[*at] {
            Cell::Text(text) => text.clone(),
            cell => format!("{} {}", cell.plain(), report.about.columns[*at].name),
        });
        let group = names.collect::<Vec<_>>().join(", ");
        for name in chart.values {
            let Some(value) = row[column(report, name)?].number() else {
                continue;
            };
            let place = match chart.kind {
                Kind::Lines => across.first().and_then(|at| row[*at].number()),
                Kind::Bars => {
                    Some(find_or_add(&mut groups, |has| *has == group, || group.clone()) as f64)
                }
            };
            let Some(place) = place else { continue };
            let name = match by.map(|at| row[at].plain()) {
                Some(text) if chart.values.len() > 1 => format!("{text}: {name}"),
                Some(text) => text,
                None => (*name).to_owned(),
            };
            let points = Vec::new;
            let at = find_or_add(
                &mut series,
                |has| has.name == name,
                || Series {
                    name: name.clone(),
                    points: points(),
                },
            );
            series[at].points.push((place, value));
        }
    }
    Ok((groups, series))
}

fn find_or_add<T>(all: &mut Vec<T>, is: impl Fn(&T) -> bool, make: impl Fn() -> T) -> usize {
    all.iter().position(is).unwrap_or_else(|| {
        all.push(make());
        all.len() - 1
    })
}

fn column(report: &Report<'_>, name: &str) -> Result<usize> {
    let mut names = report.about.columns.iter().map(|column| column.name);
    let at = names.position(|has| has == name);
    at.with_context(|| format!("no column is named {name}"))
}
