use std::{
    env,
    io::{self, IsTerminal, Stderr},
    panic,
    sync::{
        Arc, Mutex, Once, TryLockError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor, event,
        event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
        execute, terminal,
    },
};
use rustix::{process::getpgrp, termios::tcgetpgrp};
use tokio::sync::Notify;

use super::{draw::draw, view::View};
use crate::simulator::Progress;

/// Pictures that wait to be drawn. A newer one makes an older one worthless.
const PICTURES_MAX: usize = 4;

/// How long a key, a new size or a picture may stay unseen.
const KEYS_WAIT: Duration = Duration::from_millis(50);

/// How long somebody else's picture is waited for before the terminal is given back all the same.
const PICTURE_MAX: Duration = Duration::from_millis(200);

/// Whether the terminal is ours.
static ENTERED: AtomicBool = AtomicBool::new(false);

/// Whoever draws holds it, so that nothing is drawn after the terminal is given back.
static DRAWING: Mutex<()> = Mutex::new(());

/// Can a picture be drawn and a key be heard? Not in a pipe, in a file, on a terminal that only takes lines, or in the
/// background, where whoever touches the terminal is stopped.
pub(crate) fn can_be_shown() -> bool {
    let takes_more_than_lines = env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    io::stdin().is_terminal()
        && io::stderr().is_terminal()
        && takes_more_than_lines
        && tcgetpgrp(io::stdin()).is_ok_and(|foreground| foreground == getpgrp())
}

/// The picture on the terminal of standard error, so that standard output has the report alone.
pub(crate) struct Dashboard {
    pictures: Option<SyncSender<Progress>>,
    thread: Option<JoinHandle<()>>,
}

impl Dashboard {
    /// Takes the terminal. `wish` is told each time that the user asks for the end.
    ///
    /// # Errors
    /// The terminal refuses; it is as it was before.
    pub(crate) fn start(target: String, wish: Arc<Notify>) -> io::Result<Self> {
        restore_at_panic();
        let terminal = enter().inspect_err(|_| restore())?;
        let (pictures, shown) = sync_channel(PICTURES_MAX);
        let draw_all = move || {
            // Without a picture the run goes on; its report is what counts.
            let _unseen = live(terminal, &shown, View::new(target), &wish).is_err();
            restore();
        };
        let thread = thread::Builder::new().name("dashboard".into()).spawn(draw_all);
        let thread = thread.inspect_err(|_| restore())?;
        Ok(Self { pictures: Some(pictures), thread: Some(thread) })
    }

    /// Draws it soon, or leaves it out when too many wait.
    pub(crate) fn show(&self, progress: &Progress) {
        if let Some(pictures) = &self.pictures {
            let _left_out = pictures.try_send(progress.clone()).is_err();
        }
    }

    /// Gives the terminal back.
    pub(crate) fn end(&mut self) {
        self.pictures = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it has been told, and the terminal given back.
            let _told = thread.join().is_err();
        }
        restore();
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.end();
    }
}

fn enter() -> io::Result<Terminal<CrosstermBackend<Stderr>>> {
    ENTERED.store(true, Ordering::SeqCst);
    terminal::enable_raw_mode()?;
    execute!(io::stderr(), terminal::EnterAlternateScreen, cursor::Hide)?;
    Terminal::new(CrosstermBackend::new(io::stderr()))
}

/// Gives the terminal back as it was, if it is ours. May be called from anywhere, a panic included.
pub(crate) fn restore() {
    let begun = Instant::now();
    let mut drawing = DRAWING.try_lock();
    // A panic may be in the drawing itself, which will not end before this does.
    while matches!(drawing, Err(TryLockError::WouldBlock)) && begun.elapsed() < PICTURE_MAX {
        thread::sleep(Duration::from_millis(5));
        drawing = DRAWING.try_lock();
    }
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    // Both are tried whatever the other says: there is nobody left to tell.
    let _screen = execute!(io::stderr(), terminal::LeaveAlternateScreen, cursor::Show).is_err();
    let _mode = terminal::disable_raw_mode().is_err();
}

fn restore_at_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let told = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            told(panic);
        }));
    });
}

/// Draws what comes and hears keys, until the run is over.
fn live(
    mut terminal: Terminal<CrosstermBackend<Stderr>>,
    shown: &Receiver<Progress>,
    mut view: View,
    wish: &Notify,
) -> io::Result<()> {
    let mut stale = true;
    loop {
        if stale {
            let Ok(_drawing) = DRAWING.lock() else { return Ok(()) };
            if !ENTERED.load(Ordering::SeqCst) {
                return Ok(());
            }
            terminal.draw(|frame| draw(frame, &view))?;
            stale = false;
        }
        if event::poll(KEYS_WAIT)? {
            match event::read()? {
                Event::Key(key) if asks_for_the_end(key) => {
                    view.stopping = true;
                    wish.notify_one();
                }
                Event::Resize(..) => {}
                _ => continue,
            }
            stale = true;
        }
        loop {
            match shown.try_recv() {
                Ok(progress) => {
                    view.handle_progress(progress);
                    stale = true;
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }
}

fn asks_for_the_end(key: KeyEvent) -> bool {
    let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press
        && match key.code {
            KeyCode::Char('c') => with_control,
            KeyCode::Char('q' | 'Q') => true,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_and_control_c_end_and_nothing_else_does() {
        let key = |code, modifiers| asks_for_the_end(KeyEvent::new(code, modifiers));
        assert!(key(KeyCode::Char('q'), KeyModifiers::NONE));
        assert!(key(KeyCode::Char('c'), KeyModifiers::CONTROL));
        // On a slow line, the beginning of another key may look like Escape.
        for code in [KeyCode::Char('c'), KeyCode::Esc, KeyCode::Enter] {
            assert!(!key(code, KeyModifiers::NONE), "{code:?}");
        }
    }
}
