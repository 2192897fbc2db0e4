//! What the host told a guest, in order: written down in a call that is recorded, and told again in a replay.

use std::{collections::VecDeque, mem};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Most bytes that are written down of a call; one that was told more cannot be replayed.
pub(crate) const OF_A_CALL: usize = 64 << 10;
/// The same for the making of an instance, which may read whole files and is shared by all of its calls.
pub(crate) const OF_INIT: usize = 512 << 10;

/// Goes with the store of an instance.
#[derive(Debug, Default)]
pub(crate) enum Tape {
    /// Nothing is written down.
    #[default]
    Off,
    /// Each answer is written down.
    Recording(Notes),
    /// Each answer is taken from here; nothing reaches the host.
    Playing(VecDeque<Note>),
}

/// What was written down, as JSON without the brackets around it.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    json: Vec<u8>,
    /// Most bytes of it.
    most: usize,
    /// It was more than is kept.
    overflown: bool,
}

/// One host call.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Note(String, Value);

/// The guest asked for something else than when it was recorded.
#[derive(Debug, thiserror::Error)]
#[error("the replay went another way: the guest called {called}, the recording has {recorded}")]
pub(crate) struct Diverged {
    called: &'static str,
    recorded: String,
}

impl Tape {
    /// The answer to play.
    pub(crate) fn play<T: DeserializeOwned>(
        &mut self,
        called: &'static str,
    ) -> wasmtime::Result<Option<T>> {
        let Self::Playing(notes) = self else { return Ok(None) };
        let diverged = |recorded: &str| Diverged { called, recorded: recorded.to_owned() };
        match notes.pop_front() {
            Some(Note(recorded, answer)) if recorded == called => {
                Ok(Some(serde_json::from_value(answer)?))
            }
            Some(Note(recorded, _)) => Err(diverged(&recorded).into()),
            None => Err(diverged("nothing more").into()),
        }
    }

    /// Writes an answer down.
    pub(crate) fn note<T: Serialize>(&mut self, called: &'static str, answer: &T) {
        let Self::Recording(notes) = self else { return };
        if notes.overflown {
            return;
        }
        let before = notes.json.len();
        if before > 0 {
            notes.json.push(b',');
        }
        let written = serde_json::to_writer(&mut notes.json, &(called, answer));
        notes.overflown = written.is_err() || notes.json.len() > notes.most;
    }

    /// From now on each answer is written down, `most` bytes of them.
    pub(crate) fn record(&mut self, most: usize) {
        *self = Self::Recording(Notes { most, ..Notes::default() });
    }

    /// What was written down, if it was; nothing is from now on.
    pub(crate) fn stop_recording(&mut self) -> Option<Notes> {
        match mem::take(self) {
            Self::Recording(notes) => Some(notes),
            other => {
                *self = other;
                None
            }
        }
    }

    pub(crate) fn is_playing(&self) -> bool {
        matches!(self, Self::Playing(_))
    }

    /// How many answers were not asked for.
    pub(crate) fn left(&self) -> usize {
        match self {
            Self::Playing(notes) => notes.len(),
            Self::Off | Self::Recording(_) => 0,
        }
    }
}

impl Notes {
    /// The JSON; `None` = it was more than is kept.
    pub(crate) fn json(self) -> Option<Vec<u8>> {
        if self.overflown {
            return None;
        }
        let mut json = self.json;
        json.insert(0, b'[');
        json.push(b']');
        Some(json)
    }

    /// Reads what [`Self::json`] wrote.
    pub(crate) fn read(json: &[u8]) -> serde_json::Result<VecDeque<Note>> {
        serde_json::from_slice(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_down_is_told_again_in_order() {
        let mut tape = Tape::default();
        tape.note("before", &1);
        tape.record(OF_A_CALL);
        tape.note("clock", &7_u64);
        tape.note("state", &Ok::<Option<Vec<u8>>, String>(Some(vec![0, 255])));
        let json = tape.stop_recording().unwrap().json().unwrap();
        let mut tape = Tape::Playing(Notes::read(&json).unwrap());
        assert_eq!(tape.play::<u64>("clock").unwrap(), Some(7));
        let told: Result<Option<Vec<u8>>, String> = tape.play("state").unwrap().unwrap();
        assert_eq!(told, Ok(Some(vec![0, 255])));
        assert_eq!(tape.left(), 0);
        let error = tape.play::<u64>("clock").unwrap_err();
        assert!(error.is::<Diverged>(), "{error}");
        assert_eq!(Tape::Off.play::<u64>("clock").unwrap(), None);
    }

    #[test]
    fn another_call_than_the_recorded_one_is_an_error() {
        let mut tape = Tape::Playing(Notes::read(b"[[\"clock\",1]]").unwrap());
        let error = tape.play::<u64>("random").unwrap_err().to_string();
        assert!(error.contains("called random") && error.contains("has clock"), "{error}");
    }

    #[test]
    fn more_than_is_kept_is_nothing() {
        let mut tape = Tape::default();
        tape.record(OF_A_CALL);
        tape.note("file", &"x".repeat(OF_A_CALL));
        tape.note("clock", &1);
        assert!(tape.stop_recording().unwrap().json().is_none());
        assert!(tape.stop_recording().is_none());
        tape.record(OF_A_CALL);
        assert_eq!(tape.stop_recording().unwrap().json().unwrap(), b"[]");
    }
}
