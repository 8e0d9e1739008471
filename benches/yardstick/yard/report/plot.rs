//! Pictures of throughput and latency by connections.

use crate::yard::Outcome;
use crate::yard::run::SATURATION;
use crate::yard::session::Line;
use plotters::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

const SIZE: (u32, u32) = (860, 480);

/// An arm's points.
type Series = BTreeMap<String, Vec<(f64, f64)>>;

/// What is shown of a line.
type Figure = fn(&Line) -> Option<f64>;

/// Writes the pictures.
pub(crate) fn plot(lines: &[Line], folder: &Path) -> Outcome<()> {
    let pictures: [(&str, &str, Figure); 3] = [
        ("throughput.svg", "calls a second", |line| {
            Some(line.tally.rate())
        }),
        ("first-byte-p50.svg", "first byte, p50, µs", |line| {
            line.tally.first.at(0.5)
        }),
        ("first-byte-p99.svg", "first byte, p99, µs", |line| {
            line.tally.first.at(0.99)
        }),
    ];
    for (file, title, figure) in pictures {
        let mut series = Series::new();
        for line in lines.iter().filter(|line| line.measure == SATURATION) {
            if let Some(figure) = figure(line).filter(|figure| *figure > 0.0) {
                let points = series.entry(line.arm.clone()).or_default();
                points.push((line.connections as f64, figure));
            }
        }
        if !series.is_empty() {
            picture(&folder.join(file), title, &series)?;
        }
    }
    Ok(())
}

fn picture(path: &Path, title: &str, series: &Series) -> Outcome<()> {
    let points = || series.values().flatten();
    let x_max = points().map(|point| point.0).fold(2.0, f64::max);
    let y_min = points().map(|point| point.1).fold(f64::MAX, f64::min);
    let y_max = points().map(|point| point.1).fold(0.0, f64::max);
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("{title}, by connections"), ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(72)
        .build_cartesian_2d(
            (1.0..x_max).log_scale(),
            (y_min / 2.0..y_max * 2.0).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("connections, one call each at a time")
        .y_desc(title)
        .light_line_style(WHITE)
        .draw()?;
    for (number, (arm, points)) in series.iter().enumerate() {
        let color = Palette99::pick(number).to_rgba();
        let mut points = points.clone();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let dots = points.clone().into_iter();
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)))?
            .label(arm.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
        chart.draw_series(dots.map(|at| Circle::new(at, 3, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}
