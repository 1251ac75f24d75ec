use core::sync::atomic::{AtomicU8, Ordering};

use crate::Signal;

/// Milliseconds on, off, on, off … of each pattern. `README.md` explains them to who stands in front of the board.
const PATTERNS: [&[u16]; 6] = [
    // No name yet: two flashes and a pause.
    &[80, 160, 80, 1_680],
    // Looking for the gateway: once a second.
    &[500, 500],
    // The gateway does not know it: five times a second.
    &[100, 100],
    // Linked and all acknowledged: on, but for a blink every two seconds that shows that it lives.
    &[1_950, 50],
    // Readings wait for the gateway's disk: on, but for a blink every half second.
    &[450, 50],
    // This very board: ten times a second.
    &[50, 50],
];

/// A board's LED: one task says what is to be seen, another one blinks.
#[derive(Debug)]
pub struct Lamp(AtomicU8);

impl Lamp {
    /// As of a board that looks for its gateway.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU8::new(1))
    }

    /// Shows how the link stands; `is_identified` while a person looks for this very board.
    pub fn show(&self, signal: Signal, is_identified: bool) {
        let pattern = match signal {
            _ if is_identified => 5,
            Signal::Unclaimed => 0,
            Signal::Searching => 1,
            Signal::Refused => 2,
            Signal::Linked => 3,
            Signal::Waiting => 4,
        };
        self.0.store(pattern, Ordering::Relaxed);
    }

    /// Blinks for ever: `set` turns the LED on or off, `wait` waits for milliseconds.
    pub async fn blink(&self, mut set: impl FnMut(bool), wait: impl AsyncFn(u64)) {
        loop {
            let chosen = self.0.load(Ordering::Relaxed);
            let mut is_on = true;
            for ms in PATTERNS.get(usize::from(chosen)).copied().unwrap_or_default() {
                set(is_on);
                is_on = !is_on;
                wait(u64::from(*ms)).await;
                if self.0.load(Ordering::Relaxed) != chosen {
                    break;
                }
            }
        }
    }
}

impl Default for Lamp {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use core::{
        cell::RefCell,
        pin::pin,
        task::{Context, Poll, Waker},
    };
    use std::{vec, vec::Vec};

    use super::*;

    /// What is seen in the first moments: on or off, and for how long.
    fn seen(lamp: &Lamp, count: usize) -> Vec<(bool, u64)> {
        let (state, seen) = (RefCell::new(false), RefCell::new(vec![]));
        let wait = async |ms: u64| {
            seen.borrow_mut().push((*state.borrow(), ms));
            let mut is_over = seen.borrow().len() < count;
            core::future::poll_fn(|_| {
                if core::mem::replace(&mut is_over, false) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        };
        let blinking = pin!(lamp.blink(|is_on| *state.borrow_mut() = is_on, wait));
        assert!(blinking.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        seen.take()
    }

    #[test]
    fn each_state_looks_different() {
        let lamp = Lamp::new();
        let mut all = vec![];
        for (signal, is_identified) in [
            (Signal::Unclaimed, false),
            (Signal::Searching, false),
            (Signal::Refused, false),
            (Signal::Linked, false),
            (Signal::Waiting, false),
            (Signal::Linked, true),
        ] {
            lamp.show(signal, is_identified);
            let pattern = seen(&lamp, 8);
            assert!(pattern[0].0 && !pattern[1].0, "{pattern:?}");
            assert!(!all.contains(&pattern), "{signal:?} looks like another");
            all.push(pattern);
        }
    }
}
