use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style, Stylize as _},
    text::{Line, Span},
    widgets::{Block, Cell, LineGauge, Paragraph, Row, Sparkline, Table},
};

use super::{
    chart,
    view::{View, clock, grouped, milliseconds},
};
use crate::simulator::{Progress, report::LatencyMs};

/// Rows of a frame and five lines in it.
const FIGURES_ROWS: u16 = 7;
const CAUSES_ROWS: u16 = 5;

pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let [head, done, figures, charts, causes, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(FIGURES_ROWS),
        Constraint::Min(0),
        Constraint::Length(causes_rows(frame.area().height)),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_head(frame, head, view);
    if let Some(ratio) = view.done() {
        let gauge = LineGauge::default().ratio(ratio).filled_style(Style::new().fg(Color::Cyan));
        frame.render_widget(gauge, done);
    }
    frame.render_widget(Line::from(keys(view)).dim(), foot);
    let Some(progress) = &view.progress else { return };
    let [left, right] = halves(figures);
    draw_readings(frame, left, progress);
    draw_latency(frame, right, progress);
    let [left, right] = halves(charts);
    draw_rate(frame, left, view);
    chart::draw_latency(frame, right, &view.history);
    if progress.targets.len() > 1 {
        let [left, right] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(causes);
        draw_targets(frame, left, progress);
        draw_causes(frame, right, progress);
    } else {
        draw_causes(frame, causes, progress);
    }
}

/// On a low screen the charts go first, then the causes; the figures stay.
const fn causes_rows(height: u16) -> u16 {
    if height >= FIGURES_ROWS + CAUSES_ROWS + 3 { CAUSES_ROWS } else { 0 }
}

fn halves(area: Rect) -> [Rect; 2] {
    Layout::horizontal([Constraint::Ratio(1, 2), Constraint::Ratio(1, 2)]).areas(area)
}

fn keys(view: &View) -> &'static str {
    if view.stopping {
        "q or Ctrl-C once more: leave at once, without a report"
    } else {
        "q or Ctrl-C: stop, wait for what is on its way, report"
    }
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let mut spans = vec!["simulator ".bold(), view.target.as_str().into(), "  ".into(), view.state().cyan()];
    let mut time = String::new();
    if let Some(progress) = &view.progress {
        let connected =
            format!("  {} of {} connected", grouped(progress.connected), grouped(progress.devices.into()));
        let all = progress.connected == u64::from(progress.devices);
        spans.push(if all { connected.green() } else { connected.yellow() });
        time = clock(progress.elapsed);
        if let Some(planned) = progress.planned_duration {
            time = format!("{time} of {}", clock(planned));
        }
    }
    let width = u16::try_from(time.len()).unwrap_or(u16::MAX);
    let [left, right] = Layout::horizontal([Constraint::Min(0), Constraint::Length(width)]).areas(area);
    frame.render_widget(Line::from(spans), left);
    frame.render_widget(Line::from(time), right);
}

fn draw_readings(frame: &mut Frame<'_>, area: Rect, progress: &Progress) {
    let rate = |per_s: f64| format!("{per_s:.0}/s");
    let share = share(progress.hot, progress.acknowledged);
    let rows = [
        figure("sent", progress.sent, rate(progress.sent_per_s)),
        figure("acknowledged", progress.acknowledged, rate(progress.rate_per_s)),
        figure("over 35 °C", progress.hot, share),
        figure("backlog", progress.unacknowledged, remark(progress.skipped, "skipped"))
            .style(warning(progress.skipped > 0)),
        figure("errors", progress.errors, remark(progress.reconnects, "reconnects"))
            .style(warning(progress.errors > 0)),
    ];
    let widths = [Constraint::Length(12), Constraint::Length(11), Constraint::Min(0)];
    frame.render_widget(Table::new(rows, widths).block(Block::bordered().title(" Readings ")), area);
}

fn figure(name: &'static str, count: u64, beside: String) -> Row<'static> {
    let count = Line::from(grouped(count)).right_aligned().add_modifier(Modifier::BOLD);
    Row::new([Cell::from(name), Cell::from(count), Cell::from(beside)])
}

fn remark(count: u64, what: &str) -> String {
    if count == 0 { String::new() } else { format!("{} {what}", grouped(count)) }
}

fn share(part: u64, whole: u64) -> String {
    let percent = part.saturating_mul(100).checked_div(whole);
    percent.map_or_else(String::new, |percent| format!("{percent} %"))
}

fn warning(is: bool) -> Style {
    if is { Style::new().fg(Color::Yellow) } else { Style::new() }
}

fn draw_latency(frame: &mut Frame<'_>, area: Rect, progress: &Progress) {
    let head = ["", "p50", "p99", "p99.9", "max"].map(|name| Line::from(name).right_aligned());
    let rows = [
        Row::new(head).style(Modifier::DIM),
        latencies("last second", progress.recent_ms),
        latencies("whole run", Some(progress.latency_ms)),
    ];
    let widths = [11, 6, 7, 7, 7].map(Constraint::Length);
    let block = Block::bordered().title(" To the acknowledgement, ms ");
    frame.render_widget(Table::new(rows, widths).column_spacing(0).block(block), area);
}

fn latencies(name: &'static str, of: Option<LatencyMs>) -> Row<'static> {
    let times = of.map(|ms| [ms.p50, ms.p99, ms.p999, ms.max].map(milliseconds));
    let times = times.unwrap_or_else(|| ["-"; 4].map(str::to_owned));
    let right = times.map(|time| Cell::from(Line::from(time).right_aligned()));
    Row::new([Cell::from(name)].into_iter().chain(right))
}

fn draw_rate(frame: &mut Frame<'_>, area: Rect, view: &View) {
    let block = Block::bordered();
    let seconds = view.history.last(block.inner(area).width.into());
    let highest = seconds.clone().map(|second| second.acknowledged).max().unwrap_or(0);
    let title = format!(" Acknowledged a second, up to {} ", grouped(highest));
    let bars = Sparkline::default()
        .block(block.title(title))
        .style(Style::new().fg(Color::Green))
        .data(seconds.map(|second| second.acknowledged));
    frame.render_widget(bars, area);
}

fn draw_targets(frame: &mut Frame<'_>, area: Rect, progress: &Progress) {
    let rows = progress.targets.iter().map(|part| {
        let right = |text: String| Cell::from(Line::from(text).right_aligned());
        let name = part.target.to_string();
        Row::new([
            Cell::from(name),
            right(format!("{:.0}/s", part.rate_per_s)),
            right(milliseconds(part.latency_ms.p99)),
            right(grouped(part.counts.errors)),
        ])
    });
    let widths = [Constraint::Min(0), Constraint::Length(7), Constraint::Length(6), Constraint::Length(6)];
    let block = Block::bordered()
        .title(Line::from(" Targets "))
        .title(Line::from("/s  p99 ms errors").right_aligned());
    frame.render_widget(Table::new(rows, widths).block(block), area);
}

fn draw_causes(frame: &mut Frame<'_>, area: Rect, progress: &Progress) {
    let block = Block::bordered().title(" Errors by cause ");
    let rows: usize = block.inner(area).height.into();
    let mut causes: Vec<_> = progress.causes.iter().collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let more = causes.len().saturating_sub(rows);
    let mut lines: Vec<Line<'_>> = causes
        .iter()
        .take(if more > 0 { rows.saturating_sub(1) } else { rows })
        .map(|(cause, count)| {
            Line::from(vec![Span::from(format!("{:>8} ", grouped(**count))).yellow(), cause.as_str().into()])
        })
        .collect();
    if more > 0 {
        lines.push(Line::from(format!("         and {} other causes", more + 1)).dim());
    }
    if lines.is_empty() {
        lines.push(Line::from(" none").dim());
    }
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ratatui::{Terminal, backend::TestBackend};

    use super::{super::view::tests::progress, *};
    use crate::simulator::progress::Phase;

    fn lines(view: &View, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let buffer = terminal.draw(|frame| draw(frame, view)).unwrap().buffer.clone();
        let cell = |x, y| buffer[(x, y)].symbol().to_owned();
        (0..height).map(|y| (0..width).map(|x| cell(x, y)).collect()).collect()
    }

    /// Half a minute of a run, the last second as in [`progress`].
    fn view() -> View {
        let mut view = View::new("mqtt://127.0.0.1:1883".into());
        for second in 1..=15_u32 {
            let mut told = progress();
            told.elapsed = Duration::from_secs(second.into()) + Duration::from_millis(250);
            told.acknowledged = u64::from(second) * 82_300;
            if second == 9 {
                told.recent_ms = None;
            }
            view.handle_progress(told);
        }
        view
    }

    #[test]
    fn all_figures_stand_in_80_by_24() {
        let lines = lines(&view(), 80, 24);
        let text = lines.join("\n");
        for figure in [
            "simulator mqtt://127.0.0.1:1883  running  199 of 200 connected",
            "15 s of 60 s",
            "25%",
            "sent           1,234,567 1001/s",
            "acknowledged   1,234,500 1000/s",
            "over 35 °C       308,625 25 %",
            "backlog               67",
            "errors                21 17 reconnects",
            "p50    p99  p99.9    max",
            "last second  1.50   12.5    250   1803",
            "whole run    1.42   12.5    250   1803",
            "Acknowledged a second, up to 82,300",
            "mqtt://127.0.0.1:1883     1500/s   12.5      7",
            "17 closed by the server",
            "4 PUBACK 0x97 quota exc",
            "q or Ctrl-C: stop",
        ] {
            assert!(text.contains(figure), "no {figure:?} in\n{text}");
        }
        // The sparkline and the curves are there: full blocks, and dots of braille.
        assert!(text.contains('█') && text.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)), "{text}");
    }

    #[test]
    fn what_is_waited_for_stands_in_the_first_line() {
        let mut view = view();
        view.stopping = true;
        view.handle_progress(Progress { phase: Phase::Auditing { missing: 12 }, ..progress() });
        let lines = lines(&view, 100, 30);
        assert!(lines[0].contains("audit: waiting for 12"), "{}", lines[0]);
        assert!(lines[29].contains("once more"), "{}", lines[29]);
    }

    #[test]
    fn more_causes_than_lines_are_counted() {
        let mut progress = progress();
        progress.causes = (0..9).map(|n| (format!("cause {n}"), 100 - n)).collect();
        let mut view = View::new("t".into());
        view.handle_progress(progress);
        let text = lines(&view, 80, 24).join("\n");
        assert!(text.contains("100 cause 0") && text.contains("and 7 other causes"), "{text}");
    }

    #[test]
    fn any_size_and_any_state_can_be_drawn() {
        for view in [View::new(String::new()), view()] {
            for (width, height) in (1..=100).step_by(7).flat_map(|w| (1..=40).step_by(3).map(move |h| (w, h)))
            {
                assert_eq!(lines(&view, width, height).len(), usize::from(height));
            }
        }
        // On a low screen the figures are what stays.
        let low = lines(&view(), 80, 10).join("\n");
        assert!(low.contains("acknowledged   1,234,500") && !low.contains("Errors by cause"), "{low}");
    }
}
