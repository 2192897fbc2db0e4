//! An upload of a component as it goes: how much is sent, and then how far the broker is with it, as
//! a stream of events beside the request tells.
//!
//! Knows nothing of where components come from. Whose token may not read events sees only that the
//! broker is at work.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::Value;

use crate::{
    api::{Answer, Broker, Request},
    ctl::{Lines, Progress, bar},
    failure::Failure,
};

/// Between two looks at how much went out.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long the stream may need to tell what was told before the answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Header that names an upload in events.
const UPLOAD: &str = "Portcullis-Upload";
const EVENTS: &str = "/api/v1/events?types=plugin_upload";
/// Stages behind which more come.
const STAGES: [&str; 4] = ["received", "checking", "compiling", "testing"];

/// Sends a component and shows how it goes on standard error: on a terminal in a line that is written over, elsewhere
/// in a line for each stage.
pub(crate) async fn upload(broker: &Broker, mut request: Request) -> Result<Answer, Failure> {
    let id = getrandom::u64().map_err(|error| Failure::internal("a random number", error))?;
    let id = format!("{id:016x}");
    request.headers.push((UPLOAD, id.clone()));
    let all = request.content.as_ref().map_or(0, |content| content.bytes.len() as u64);
    let sent = Arc::clone(&request.sent);
    let mut progress = Progress::new();
    // Before the request, so that nothing of it is missed.
    let mut told = Told::new(broker.send(Request::new("GET", EVENTS)).await.ok(), id);
    let mut at = String::from("the broker compiles and checks it");
    let mut sending = pin!(broker.send(request));
    let answer = loop {
        tokio::select! {
            answer = &mut sending => break answer,
            stage = told.next(), if told.goes_on() => {
                if let Some(stage) = stage {
                    progress.say(&stage);
                    at = stage;
                }
            }
            () = tokio::time::sleep(LOOK_EVERY) => progress.draw(|| {
                match sent.load(Ordering::Relaxed) {
                    sent if sent < all => format!("sending  {}", bar(sent, all)),
                    _ => format!("sending  {}  {at}", bar(1, 1)),
                }
            }),
        }
    };
    let rest = async {
        while told.goes_on() {
            if let Some(stage) = told.next().await {
                progress.say(&stage);
            }
        }
    };
    // The answer counts, however far the stream is.
    let _late = tokio::time::timeout(PATIENCE, rest).await;
    answer
}

/// What the stream tells of one upload.
struct Told {
    stream: Option<Answer>,
    lines: Lines,
    id: String,
    /// Stages that came with one piece, the next one last.
    waiting: Vec<String>,
}

impl Told {
    fn new(stream: Option<Answer>, id: String) -> Self {
        Self { stream, lines: Lines::new(true), id, waiting: Vec::new() }
    }

    fn goes_on(&self) -> bool {
        self.stream.is_some() || !self.waiting.is_empty()
    }

    /// The next stage, if that is what the stream had to say. May be cancelled.
    async fn next(&mut self) -> Option<String> {
        if let Some(stage) = self.waiting.pop() {
            return Some(stage);
        }
        let piece = self.stream.as_mut()?.piece().await;
        match piece.ok().flatten().map(|piece| self.lines.take(&piece)) {
            Some(Ok(lines)) => self.take(&lines),
            // It ended, or is no stream of events.
            Some(Err(_)) | None => self.stream = None,
        }
        self.waiting.pop()
    }

    fn take(&mut self, lines: &[String]) {
        let events = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let text = |event: &Value, name| event.get(name).and_then(Value::as_str).map(str::to_owned);
        let own = events.filter(|event| text(event, "target").as_ref() == Some(&self.id));
        let stages: Vec<_> = own.filter_map(|event| text(&event, "reason")).collect();
        for stage in stages {
            match STAGES.contains(&stage.as_str()) {
                true => self.waiting.insert(0, stage),
                // Its end, which the answer tells better.
                false => self.stream = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_those_of_this_upload_in_their_order() {
        let mut told = Told::new(None, "mine".to_owned());
        let line = |target: &str, reason: &str| {
            serde_json::json!({ "target": target, "reason": reason, "plugin": "p" }).to_string()
        };
        told.take(&[line("mine", "received"), line("other", "testing"), "no JSON".to_owned()]);
        told.take(&[line("mine", "compiling"), line("mine", "live")]);
        let taken: Vec<_> = std::iter::from_fn(|| told.waiting.pop()).collect();
        assert_eq!(taken, ["received", "compiling"]);
        assert!(!told.goes_on(), "it has come to its end");
    }
}
