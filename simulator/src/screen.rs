//! Shows how a run is getting on. Nothing else names `indicatif`.

use std::{
    io::{self, IsTerminal, Write},
    sync::Arc,
    time::Duration,
};

use crate::simulator::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::Notify;

use crate::{
    args::Show,
    dashboard::{self, Dashboard},
};

/// Between two plain lines.
const LINE_WAIT: Duration = Duration::from_secs(5);

/// Where progress goes: always standard error, so that standard output has the report alone.
pub(crate) enum Screen {
    Dashboard(Dashboard),
    Bar(ProgressBar),
    Lines { next: Duration },
    Dark,
}

impl Screen {
    /// `target` is where the sensors send; `wish` is told when the user asks for the end by a key.
    pub(crate) fn new(show: Show, target: String, wish: &Arc<Notify>) -> Self {
        if show == Show::Auto
            && dashboard::can_be_shown()
            && let Ok(dashboard) = Dashboard::start(target, Arc::clone(wish))
        {
            return Self::Dashboard(dashboard);
        }
        match show {
            Show::Line if io::stderr().is_terminal() => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                bar.set_style(ProgressStyle::default_spinner());
                Self::Bar(bar)
            }
            Show::Auto | Show::Line | Show::Plain => Self::Lines { next: LINE_WAIT },
            Show::None => Self::Dark,
        }
    }

    pub(crate) fn show(&mut self, progress: &Progress) {
        match self {
            Self::Dashboard(dashboard) => dashboard.show(progress),
            Self::Bar(bar) => {
                bar.set_message(line(progress));
                bar.tick();
            }
            Self::Lines { next } if progress.elapsed >= *next => {
                *next = progress.elapsed + LINE_WAIT;
                // Nobody need read along for the run to be right.
                let _unread = writeln!(io::stderr(), "{}", line(progress)).is_err();
            }
            Self::Lines { .. } | Self::Dark => {}
        }
    }

    /// Leaves the terminal as it was.
    pub(crate) fn end(&mut self) {
        match self {
            Self::Dashboard(dashboard) => dashboard.end(),
            Self::Bar(bar) => bar.finish_and_clear(),
            Self::Lines { .. } | Self::Dark => {}
        }
    }
}

fn line(progress: &Progress) -> String {
    let elapsed = progress.elapsed.as_secs();
    match progress.planned_duration {
        Some(planned) => format!("{elapsed}/{} s  {progress}", planned.as_secs()),
        None => format!("{elapsed} s  {progress}"),
    }
}
