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
use super::terminal::print;
use crate::{api::Broker, failure::Failure};

/// Between two looks at the keyboard.
const KEYS_EVERY: Duration = Duration::from_millis(100);
/// Size of a frame that nobody looks at.
const PLAIN: (u16, u16) = (120, u16::MAX);

/// Shows it, a frame `every` so many seconds; `once` = one frame as plain text.
pub(super) async fn run(broker: &Broker, every: Duration, once: bool) -> Result<(), Failure> {
    let mut before = take(broker).await?;
    if once {
        tokio::time::sleep(every).await;
        let now = take(broker).await?;
        return print(&frame::frame(&before, &now, broker.url(), PLAIN));
    }
    let screen = Screen::enter().map_err(|error| {
        Failure::Refused(format!(
            "this is no terminal that can be drawn on ({error}): --once prints one frame"
        ))
    })?;
    // The next frame comes when two samples are far enough apart; the first one shows totals.
    let mut now = before.clone();
    loop {
        screen.draw(&before, &now, broker.url())?;
        if wait(&screen, every, &before, &now, broker.url()).await? {
            return Ok(());
        }
        let next = take(broker).await?;
        before = std::mem::replace(&mut now, next);
    }
}

/// Waits for the next frame and obeys keys meanwhile. Whether somebody wants to leave.
async fn wait(
    screen: &Screen,
    every: Duration,
    before: &Sample,
    now: &Sample,
    url: &str,
) -> Result<bool, Failure> {
    let begun = Instant::now();
    while begun.elapsed() < every {
        tokio::time::sleep(KEYS_EVERY.min(every)).await;
        match key().map_err(of_terminal)? {
            Some(Key::Leave) => return Ok(true),
            Some(Key::Redraw) => screen.draw(before, now, url)?,
            None => {}
        }
    }
    Ok(false)
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

    fn draw(&self, before: &Sample, now: &Sample, url: &str) -> Result<(), Failure> {
        let size = crossterm::terminal::size().map_err(of_terminal)?;
        let text = frame::frame(before, now, url, size);
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
