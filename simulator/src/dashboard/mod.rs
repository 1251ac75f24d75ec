//! A picture of a run while it lasts. Nothing else names `ratatui`.
//!
//! A [`View`](view::View) is made of what a run tells about itself and is drawn without a terminal, so that tests read what it
//! draws. A thread of its own holds the terminal: drawing keeps no sensor waiting, and a key is heard at once.

mod chart;
mod draw;
mod history;
mod terminal;
mod view;

pub(crate) use terminal::{Dashboard, can_be_shown, restore};
