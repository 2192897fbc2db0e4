//! `/api/v1/events`: a stream of server-sent events.
//!
//! Knows nothing of where events come from. Each is written for the rights of its reader. A stream ends with the login
//! that opened it, with the API, and when its reader takes nothing for half a minute.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use serde::{Deserialize, Serialize};
use telemetry::HappeningKind;
use tokio::{
    sync::{broadcast::error::RecvError, mpsc, watch},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use utoipa::IntoParams;

use super::{Recorded, STREAMS_MAX, Watching};
use crate::{
    access_log::{AccessLine, line},
    call::{Answer, Call, Shared},
    field::Fields,
    guard,
    problem::Problem,
    shares::Share,
};

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct FollowQuery {
    /// Only these types, separated by commas; without it all.
    types: Option<String>,
}

/// An event as it is sent.
#[derive(Debug, Serialize)]
struct Event {
    #[serde(flatten)]
    line: AccessLine,
    /// Who, of those who administer.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// What an action was about, the generation of a plugin, or the name of an alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// HTTP status of an answer to an administrator.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

/// `GET /api/v1/events`
pub(crate) async fn follow(call: Call) -> Answer {
    let query: FollowQuery = call.query()?;
    let kinds = query.types.as_deref().map(kinds).transpose()?;
    let last = call.parts.headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let share = call.stream_share()?;
    let watching = call.shared.events.watch(last).ok_or_else(|| {
        Problem::too_many(format!("{STREAMS_MAX} streams of events are open already"))
    })?;
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let reader = Reader {
        fields: call.fields(),
        kinds,
        headers: call.parts.headers.clone(),
        shared: Arc::clone(&call.shared),
        sender,
        _share: share,
    };
    tokio::spawn(reader.feed(watching));
    let mut response = Response::new(Body::from_stream(ReceiverStream::new(receiver)));
    let content = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, content);
    Ok(response)
}

fn kinds(types: &str) -> Result<Vec<HappeningKind>, Problem> {
    let kind = |name: &str| {
        HappeningKind::from_name(name).ok_or_else(|| {
            let all: Vec<_> = HappeningKind::ALL.iter().map(|kind| kind.name()).collect();
            let problem = Problem::invalid(format!("{name:?} is no type of events"));
            problem.about("types").allowed(all.join(", "))
        })
    };
    types.split(',').map(|name| kind(name.trim())).collect()
}

struct Reader {
    fields: Fields,
    kinds: Option<Vec<HappeningKind>>,
    headers: HeaderMap,
    shared: Arc<Shared>,
    sender: mpsc::Sender<Result<Bytes, Infallible>>,
    _share: Share,
}

/// The reader is gone, or takes nothing.
struct Gone;

impl Reader {
    async fn feed(self, mut watching: Watching) {
        if self.begin(&mut watching).await.is_err() {
            return;
        }
        let mut stopping = self.shared.stopping.clone();
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let sent = tokio::select! {
                event = watching.receiver.recv() => match event {
                    Ok(event) => self.send(&event).await,
                    Err(RecvError::Lagged(lost)) => {
                        self.write(format!("event: gap\ndata: {{\"lost\":{lost}}}\n\n")).await
                    }
                    Err(RecvError::Closed) => Err(Gone),
                },
                _ = beat.tick() => match guard::is_still_known(&self.shared, &self.headers) {
                    true => self.write(":\n\n".to_owned()).await,
                    false => Err(Gone),
                },
                () = stopped(&mut stopping) => Err(Gone),
                () = self.sender.closed() => Err(Gone),
            };
            if sent.is_err() {
                return;
            }
        }
    }

    /// What it missed, as far as that is kept.
    async fn begin(&self, watching: &mut Watching) -> Result<(), Gone> {
        self.write("retry: 2000\n\n".to_owned()).await?;
        if watching.has_gap {
            self.write("event: gap\ndata: {\"lost\":null}\n\n".to_owned()).await?;
        }
        for event in std::mem::take(&mut watching.missed) {
            self.send(&event).await?;
        }
        Ok(())
    }

    async fn send(&self, event: &Recorded) -> Result<(), Gone> {
        if self.kinds.as_ref().is_some_and(|kinds| !kinds.contains(&event.kind)) {
            return Ok(());
        }
        let Some(data) = event.shown(self.fields) else { return Ok(()) };
        let (id, kind) = (self.shared.events.name(event.number), event.kind.name());
        self.write(format!("id: {id}\nevent: {kind}\ndata: {data}\n\n")).await
    }

    async fn write(&self, text: String) -> Result<(), Gone> {
        match timeout(PATIENCE, self.sender.send(Ok(Bytes::from(text)))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

pub(crate) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // Whoever could say so is gone: it has stopped.
    let _ = stopping.wait_for(|stops| *stops).await;
}

impl Recorded {
    /// For somebody with these rights. One line: JSON escapes line feeds.
    fn shown(&self, fields: Fields) -> Option<String> {
        let entry = serde_json::from_str(&self.entry).ok()?;
        let target = self.target.as_deref().map(|target| match self.kind {
            // Of a refusal the path as it was sent.
            HappeningKind::AdminAction | HappeningKind::AdminRefused => {
                fields.show_target(target).into_owned()
            }
            _ => target.to_owned(),
        });
        let (user, status) = (self.user.clone(), self.status);
        serde_json::to_string(&Event { line: line(entry, fields), user, target, status }).ok()
    }
}

/// Pieces that wait for the network.
const WAITING_MAX: usize = 16;
/// How often a sign of life goes out, and the login is looked at.
pub(crate) const BEAT: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 5_000 });
/// How long a reader may take nothing.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
