//! Shows how a run is getting on. Nothing else names `indicatif`.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use crate::simulator::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::Show;

/// Between two plain lines.
const LINE_WAIT: Duration = Duration::from_secs(5);

/// Where progress goes: always standard error, so that standard output has the report alone.
pub(crate) enum Screen {
    Bar(ProgressBar),
    Lines { next: Duration },
    Dark,
}

impl Screen {
    pub(crate) fn new(show: Show) -> Self {
        match show {
            Show::Auto if io::stderr().is_terminal() => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                bar.set_style(ProgressStyle::default_spinner());
                Self::Bar(bar)
            }
            Show::Auto | Show::Plain => Self::Lines { next: LINE_WAIT },
            Show::None => Self::Dark,
        }
    }

    pub(crate) fn show(&mut self, progress: &Progress) {
        match self {
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

    pub(crate) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
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
