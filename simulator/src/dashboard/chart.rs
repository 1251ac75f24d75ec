//! Latency over time, on a logarithmic scale: an outage of seconds and an ordinary millisecond are both to be seen.

use ratatui::{
    Frame,
    layout::{Alignment, Rect},
    style::{Color, Style, Stylize as _},
    symbols::Marker,
    widgets::{Axis, Block, Chart, Dataset, GraphType},
};

use super::history::{History, Second};
use crate::simulator::report::LatencyMs;

/// Columns of the axis's numbers and of the frame.
const BESIDE_COLUMNS: u16 = 7;

/// A percentile: its name, its color, where it stands.
type Curve = (&'static str, Color, fn(&LatencyMs) -> f64);
const CURVES: [Curve; 3] = [
    ("p99.9", Color::Red, |ms| ms.p999),
    ("p99", Color::Yellow, |ms| ms.p99),
    ("p50", Color::Green, |ms| ms.p50),
];

/// Milliseconds, as powers of ten, with their names.
const POWERS: [(i32, &str); 8] =
    [(-2, "0.01"), (-1, "0.1"), (0, "1"), (1, "10"), (2, "100"), (3, "1 s"), (4, "10 s"), (5, "100 s")];

pub(super) fn draw_latency(frame: &mut Frame<'_>, area: Rect, history: &History) {
    let columns = area.width.saturating_sub(BESIDE_COLUMNS);
    let seconds = history.last(columns.into());
    let curves = CURVES.map(|(name, color, of)| (name, color, points(seconds.clone(), of)));
    let (low, high) = bounds(curves.iter().flat_map(|(_, _, points)| points));
    let datasets = curves.iter().map(|(_, color, points)| {
        Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Scatter)
            .style(Style::new().fg(*color))
            .data(points)
    });
    let labels = POWERS.iter().filter(|(power, _)| (low..=high).contains(power)).map(|(_, name)| *name);
    let title = curves.iter().flat_map(|(name, color, _)| [" ".into(), name.fg(*color)]);
    let title: Vec<_> = std::iter::once(" Latency, ms".into()).chain(title).chain([" ".into()]).collect();
    let chart = Chart::new(datasets.collect())
        .block(Block::bordered().title(title))
        .x_axis(Axis::default().bounds([0.0, f64::from(columns.max(2)) - 1.0]))
        .y_axis(
            Axis::default()
                .bounds([low.into(), high.into()])
                .labels(labels)
                .labels_alignment(Alignment::Right)
                .style(Style::new().dim()),
        )
        .legend_position(None);
    frame.render_widget(chart, area);
}

fn points<'a>(seconds: impl Iterator<Item = &'a Second>, of: fn(&LatencyMs) -> f64) -> Vec<(f64, f64)> {
    let place = |index: u32, second: &Second| {
        let ms = second.latency_ms.as_ref().map(of).filter(|ms| *ms > 0.0)?;
        Some((f64::from(index), ms.log10()))
    };
    (0..).zip(seconds).filter_map(|(index, second)| place(index, second)).collect()
}

/// The powers of ten that hold all points, at least one apart.
fn bounds<'a>(points: impl Iterator<Item = &'a (f64, f64)> + Clone) -> (i32, i32) {
    let powers = || POWERS.iter().map(|(power, _)| *power);
    let below = |power: i32| points.clone().all(|(_, y)| *y >= power.into());
    let above = |power: i32| points.clone().all(|(_, y)| *y <= power.into());
    let any = points.clone().next().is_some();
    let low = powers().rev().filter(|power| *power < 5).find(|power| any && below(*power)).unwrap_or(0);
    let high = powers().find(|power| any && *power > low && above(*power)).unwrap_or(if any { 5 } else { 3 });
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_holds_all_points() {
        let of = |ms: &[f64]| {
            let points: Vec<_> = ms.iter().map(|ms| (0.0, ms.log10())).collect();
            bounds(points.iter())
        };
        assert_eq!(of(&[]), (0, 3));
        assert_eq!(of(&[0.4, 2.0, 30.0]), (-1, 2));
        assert_eq!(of(&[10.0]), (1, 2));
        assert_eq!(of(&[200.0, 4000.0]), (2, 4));
        assert_eq!(of(&[1.0, 3_600_000.0]), (0, 5));
    }

    #[test]
    fn a_second_without_acknowledgements_has_no_point() {
        let some = Some(LatencyMs { p50: 10.0, ..LatencyMs::default() });
        let seconds = [some, None, some].map(|latency_ms| Second { acknowledged: 1, latency_ms });
        assert_eq!(points(seconds.iter(), |ms| ms.p50), [(0.0, 1.0), (2.0, 1.0)]);
    }
}
