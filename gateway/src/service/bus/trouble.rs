//! The same trouble is said once, not once a second.

use crate::clock::Millis;

/// After so long the same trouble is news again.
const AGAIN_MS: Millis = 60_000;

/// What was said last, and when.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    last: Option<(String, Millis)>,
}

impl Trouble {
    /// `text` when it is news.
    pub(super) fn news(&mut self, text: &str, now_ms: Millis) -> Option<String> {
        if let Some((last, at_ms)) = &self.last
            && last == text
            && now_ms.saturating_sub(*at_ms) < AGAIN_MS
        {
            return None;
        }
        self.last = Some((text.to_owned(), now_ms));
        Some(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_a_minute() {
        let mut trouble = Trouble::default();
        let mut said = |text: &str, now_ms| trouble.news(text, now_ms).is_some();
        assert!(said("a", 0) && !said("a", AGAIN_MS - 1) && said("a", AGAIN_MS));
        assert!(said("b", AGAIN_MS) && said("a", AGAIN_MS));
    }
}
