//! Servers of RocketMQ that tests take in turns: a start takes ten seconds and more, making one as good as new a second.
//!
//! So many of them are at work at the same time, whatever the number of tests that run side by side, and one more that
//! a test has for itself, because it hurts it: most of a test's time on a bus is waiting.

use std::{
    collections::BTreeMap,
    mem,
    ops::Deref,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use crate::RocketMq;

/// Servers that tests take in turns.
const LENT_MAX: usize = 2;
/// Servers that a test has for itself.
const OWN_MAX: usize = 2;

static POOL: Mutex<Pool> =
    Mutex::new(Pool { idle: Vec::new(), waiting: BTreeMap::new(), free: [LENT_MAX, OWN_MAX] });
static CHANGED: Condvar = Condvar::new();

struct Pool {
    idle: Vec<(Words, RocketMq, Place)>,
    waiting: BTreeMap<Words, usize>,
    free: [usize; 2],
}

type Words = Vec<String>;

/// Leave to run a server, given back when dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Lent,
    Own,
}

#[derive(Debug)]
pub(crate) struct Place(Kind);

impl Place {
    /// Waits for leave to run a server that nobody shares.
    pub(crate) fn own() -> Self {
        let kind = Kind::Own;
        let mut pool = lock();
        while pool.free[kind as usize] == 0 {
            pool = CHANGED.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
        pool.free[kind as usize] -= 1;
        Self(kind)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock().free[self.0 as usize] += 1;
        CHANGED.notify_all();
    }
}

/// A server on loan, as good as new. One that a failed test had is stopped.
pub struct Lent {
    words: Words,
    server: Option<(RocketMq, Place)>,
}

impl Lent {
    /// Waits for a server that was started with these words for `up`, or for leave to start one.
    pub(crate) fn take(words: &[&str]) -> Self {
        let words: Words = words.iter().map(|word| (*word).to_owned()).collect();
        let (server, place) = wait_for(&words);
        let server = match server {
            Some(server) => {
                server.make_new();
                server
            }
            None => RocketMq::start_lent(&words),
        };
        Self { words, server: Some((server, place)) }
    }
}

fn wait_for(words: &Words) -> (Option<RocketMq>, Place) {
    let mut pool = lock();
    *pool.waiting.entry(words.clone()).or_default() += 1;
    loop {
        let same = pool.idle.iter().position(|(of, ..)| of == words);
        let unwanted = |of: &Words| pool.waiting.get(of).is_none_or(|count| *count == 0);
        let found = same.or_else(|| {
            let may_start = pool.free[Kind::Lent as usize] > 0;
            if may_start { None } else { pool.idle.iter().position(|(of, ..)| unwanted(of)) }
        });
        if found.is_none() && pool.free[Kind::Lent as usize] == 0 {
            pool = CHANGED.wait(pool).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        *pool.waiting.entry(words.clone()).or_default() -= 1;
        let Some(at) = found else {
            pool.free[Kind::Lent as usize] -= 1;
            return (None, Place(Kind::Lent));
        };
        let (_, server, place) = pool.idle.swap_remove(at);
        drop(pool);
        if same.is_some() {
            return (Some(server), place);
        }
        drop(server);
        return (None, place);
    }
}

impl Deref for Lent {
    type Target = RocketMq;

    fn deref(&self) -> &RocketMq {
        &self.server.as_ref().expect("a server until the end").0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some((server, place)) = self.server.take() else { return };
        if thread::panicking() {
            return;
        }
        lock().idle.push((mem::take(&mut self.words), server, place));
        CHANGED.notify_all();
    }
}

fn lock() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}
