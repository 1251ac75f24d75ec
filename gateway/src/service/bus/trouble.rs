//! The same trouble is said once, not once a second.

use std::time::Duration;

use crate::clock::Stopwatch;

/// After so long the same trouble is news again.
const AGAIN: Duration = Duration::from_secs(60);

/// What was said last, and when.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    last: Option<(String, Stopwatch)>,
}

impl Trouble {
    /// `text` when it is news.
    pub(super) fn news(&mut self, text: &str) -> Option<String> {
        if let Some((last, at)) = &self.last
            && last == text
            && at.elapsed() < AGAIN
        {
            return None;
        }
        self.last = Some((text.to_owned(), Stopwatch::start()));
        Some(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.news("a").as_deref(), Some("a"));
        assert_eq!(trouble.news("a"), None);
        assert_eq!(trouble.news("b").as_deref(), Some("b"));
        assert_eq!(trouble.news("a").as_deref(), Some("a"));
    }
}
