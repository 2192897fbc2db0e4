//! `portcullis ctl top`: what the broker does just now, in the whole terminal, until `q` or Ctrl-C.
//!
//! Owns the terminal while it runs and gives it back however it ends, also in a panic. What a frame says is in
//! `top/frame.rs`, what metrics say in `top/sample.rs`.

mod frame;
mod sample;

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use crossterm::{
    cursor::{Hide, MoveTo, Show},
    event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
    execute, queue,
    terminal::{
        Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
        enable_raw_mode,
    },
};

use self::sample::Sample;
use super::terminal::{print, print_json};
use crate::{api::Broker, failure::Failure};

/// Between two looks at the keyboard.
const KEYS_EVERY: Duration = Duration::from_millis(100);
/// Size of a frame that nobody looks at.
const PLAIN: (u16, u16) = (120, u16::MAX);

/// How it is shown.
pub(super) struct Wanted {
    /// Between two frames.
    pub(super) every: Duration,
    /// One frame as plain text.
    pub(super) once: bool,
    /// An object for each sample.
    pub(super) json: bool,
}

/// Shows it until somebody leaves.
pub(super) async fn run(broker: &Broker, wanted: &Wanted) -> Result<(), Failure> {
    let first = take(broker).await?;
    if wanted.once {
        tokio::time::sleep(wanted.every).await;
        let now = take(broker).await?;
        return match wanted.json {
            true => print_json(&frame::object(&first, &now).to_string()),
            false => print(&frame::frame(&first, &now, broker.url(), PLAIN)),
        };
    }
    if wanted.json {
        return objects(broker, wanted.every, first).await;
    }
    let screen = Screen::enter().map_err(|error| {
        Failure::Refused(format!(
            "this is no terminal that can be drawn on ({error}): --once prints one frame"
        ))
    })?;
    // The next frame comes when two samples are far enough apart; the first one shows totals.
    let mut shown = Shown { before: first.clone(), now: first, missed: None };
    loop {
        screen.draw(&shown, broker.url())?;
        let pause = async {
            tokio::time::sleep(wanted.every).await;
            take(broker).await
        };
        match watched(&screen, &shown, broker.url(), pause).await? {
            None => return Ok(()),
            Some(Ok(next)) => {
                shown.before = std::mem::replace(&mut shown.now, next);
                shown.missed = None;
            }
            // It may come back: what was last seen stays, and that it is old is said.
            Some(Err(failure)) => shown.missed = Some(failure.to_string()),
        }
    }
}

/// A line of JSON for each sample, until somebody ends it.
async fn objects(broker: &Broker, every: Duration, first: Sample) -> Result<(), Failure> {
    let mut before = first.clone();
    let mut sample = Ok(first);
    loop {
        match sample {
            Ok(now) => {
                print_json(&frame::object(&before, &now).to_string())?;
                before = now;
            }
            Err(failure) => print_json(&frame::missed(&failure).to_string())?,
        }
        tokio::time::sleep(every).await;
        sample = take(broker).await;
    }
}

/// What a frame is made of.
struct Shown {
    before: Sample,
    now: Sample,
    /// Why there is nothing newer.
    missed: Option<String>,
}

/// Waits for something and obeys keys meanwhile; `None` = somebody wants to leave.
async fn watched<T>(
    screen: &Screen,
    shown: &Shown,
    url: &str,
    work: impl Future<Output = T>,
) -> Result<Option<T>, Failure> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(Some(done)),
            () = tokio::time::sleep(KEYS_EVERY) => match key().map_err(of_terminal)? {
                Some(Key::Leave) => return Ok(None),
                Some(Key::Redraw) => screen.draw(shown, url)?,
                None => {}
            },
        }
    }
}

enum Key {
    Leave,
    Redraw,
}

/// What was typed, if anything was. Raw mode makes Ctrl-C a key.
fn key() -> io::Result<Option<Key>> {
    let mut found = None;
    while event::poll(Duration::ZERO)? {
        match event::read()? {
            Event::Key(key) if key.kind == KeyEventKind::Press => {
                let control = key.modifiers.contains(KeyModifiers::CONTROL);
                match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => return Ok(Some(Key::Leave)),
                    KeyCode::Char('c' | 'd') if control => return Ok(Some(Key::Leave)),
                    _ => {}
                }
            }
            Event::Resize(..) => found = Some(Key::Redraw),
            _ => {}
        }
    }
    Ok(found)
}

async fn take(broker: &Broker) -> Result<Sample, Failure> {
    let status = broker.ask("GET", "/api/v1/status", None).await?;
    let listeners = broker.ask("GET", "/api/v1/listeners", None).await?;
    let metrics = broker.text("/metrics").await?;
    Ok(Sample::new(Instant::now(), status, &listeners, &metrics))
}

/// The alternate screen in raw mode; the terminal is as it was when this is dropped.
struct Screen;

impl Screen {
    fn enter() -> io::Result<Self> {
        // Before anything is changed: a panic prints where it can be read.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            before(panic);
        }));
        enable_raw_mode()?;
        let screen = Self;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    fn draw(&self, shown: &Shown, url: &str) -> Result<(), Failure> {
        let size = crossterm::terminal::size().map_err(of_terminal)?;
        let text = match &shown.missed {
            None => frame::frame(&shown.before, &shown.now, url, size),
            Some(why) => frame::old(&shown.before, &shown.now, (url, why), size),
        };
        let mut out = io::stdout().lock();
        let mut write = || -> io::Result<()> {
            queue!(out, MoveTo(0, 0))?;
            for line in text.lines() {
                queue!(out, Clear(ClearType::UntilNewLine))?;
                write!(out, "{line}\r\n")?;
            }
            queue!(out, Clear(ClearType::FromCursorDown))?;
            out.flush()
        };
        write().map_err(of_terminal)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn leave() {
    // Nobody is left to tell if the terminal does not take it.
    let _gone = execute!(io::stdout(), Show, LeaveAlternateScreen);
    let _gone = disable_raw_mode();
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn of_terminal(error: io::Error) -> Failure {
    Failure::Refused(format!("the terminal: {error}"))
}
