//! OpenTelemetry: metrics and spans of decisions, sent to a collector over OTLP/HTTP (protobuf).
//!
//! Owns the task that sends and its bounds: decisions that wait are a bounded queue, further ones
//! are not sent; a collector that does not answer costs one request an interval, and a log line when
//! that begins and when it ends. Knows nothing of what is measured: the numbers are those of
//! `/metrics`, the spans those of the decisions that the gate keeps.

mod metrics;
mod spans;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use access::{DecisionId, Gate};
use admin::Scrape;
use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
};
use prost::Message;
use telemetry::{Happening, HappeningKind, Interest, Metrics, Observer};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::MissedTickBehavior,
};
use zeroize::Zeroizing;

/// How long the end waits for what is sent last.
const LAST_MAX: Duration = Duration::from_secs(5);
/// Decisions that wait to be sent.
const WAITING_MAX: usize = 2_048;

/// Where to, how often, and what.
#[derive(Clone, PartialEq)]
pub(crate) struct OtlpConfig {
    /// Without `/v1/metrics`.
    pub(crate) endpoint: String,
    /// The header Authorization.
    pub(crate) authorization: Option<Zeroizing<String>>,
    /// Authorities in PEM, in place of the system's.
    pub(crate) ca: Option<Vec<u8>>,
    /// Between two requests.
    pub(crate) interval: Duration,
    /// For one request.
    pub(crate) timeout: Duration,
    /// Whether metrics are sent.
    pub(crate) metrics: bool,
    /// Of a hundred decisions; 0 = no spans.
    pub(crate) sample_percent: u64,
}

/// Without what is secret.
impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpConfig").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// The task that sends.
pub(crate) struct Exporter {
    task: JoinHandle<()>,
    /// Dropped: it sends what there is, and ends.
    last: Option<oneshot::Sender<()>>,
}

impl Exporter {
    /// Sends what came since the last time, for a bounded while, and ends.
    pub(crate) async fn finish(mut self) {
        drop(self.last.take());
        if tokio::time::timeout(LAST_MAX, &mut self.task).await.is_err() {
            tracing::warn!(event = "otlp_failed", "the collector was not sent what came last");
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Exporter {
    /// Begins to send.
    ///
    /// # Errors
    ///
    /// What is wrong with the configuration.
    pub(crate) fn start(
        config: OtlpConfig,
        (gate, metrics): (Arc<Gate>, &Metrics),
        scrape: Scrape,
    ) -> Result<Self, String> {
        let client = client(&config)?;
        let (sender, decided) = mpsc::channel(WAITING_MAX);
        if config.sample_percent > 0 {
            let sampled = Sampled { sender, percent: config.sample_percent };
            let kinds = [HappeningKind::Authenticated, HappeningKind::ConnectRefused];
            metrics.observers.add(Interest::any_of(&kinds), Arc::new(sampled));
        }
        let sending = Sending {
            client,
            config,
            gate,
            scrape,
            decided,
            started_unix_nano: now_unix_nano(),
            failed: false,
        };
        let (last, end) = oneshot::channel();
        Ok(Self { task: tokio::spawn(sending.run(end)), last: Some(last) })
    }
}

fn client(config: &OtlpConfig) -> Result<reqwest::Client, String> {
    // Whoever was first has installed the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .timeout(config.timeout)
        // What the collector is sent goes to it and nobody else, whatever the environment says.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    if let Some(pem) = &config.ca {
        let authorities = reqwest::Certificate::from_pem_bundle(pem)
            .map_err(|error| format!("[otlp] ca: no certificate in PEM: {error}"))?;
        builder = builder.tls_certs_only(authorities);
    }
    builder.build().map_err(|error| format!("[otlp]: {error}"))
}

/// Takes every so manieth decision.
struct Sampled {
    sender: mpsc::Sender<(DecisionId, u64)>,
    percent: u64,
}

impl Observer for Sampled {
    fn observe(&self, happening: &Happening<'_>) {
        if happening.decision.is_none() || fastrand::u64(0..100) >= self.percent {
            return;
        }
        let id = happening.decision.and_then(|id| id.to_string().parse::<DecisionId>().ok());
        let Some(id) = id else { return };
        // No room: it is not sent, which sampling makes of most anyway.
        let _ = self.sender.try_send((id, happening.at_unix_ms));
    }
}

struct Sending {
    client: reqwest::Client,
    config: OtlpConfig,
    gate: Arc<Gate>,
    scrape: Scrape,
    decided: mpsc::Receiver<(DecisionId, u64)>,
    started_unix_nano: u64,
    /// The last request was not answered well.
    failed: bool,
}

impl Sending {
    async fn run(mut self, mut end: oneshot::Receiver<()>) {
        let mut tick = tokio::time::interval(self.config.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                _ = tick.tick() => false,
                _ = &mut end => true,
            };
            self.send_all().await;
            if is_last {
                return;
            }
        }
    }

    async fn send_all(&mut self) {
        if let Some(spans) = self.spans() {
            self.send("/v1/traces", spans).await;
        }
        if self.config.metrics
            && let Some(metrics) = self.metrics().await
        {
            self.send("/v1/metrics", metrics).await;
        }
    }

    /// The decisions that waited, as far as the gate still has them.
    fn spans(&mut self) -> Option<Vec<u8>> {
        let mut spans = Vec::new();
        while let Ok((id, decided_unix_ms)) = self.decided.try_recv() {
            if let Some(record) = self.gate.decisions().find(id) {
                spans::of_decision(&record, decided_unix_ms, &mut spans);
            }
        }
        (!spans.is_empty()).then(|| spans::request(spans, resource(), scope()).encode_to_vec())
    }

    async fn metrics(&self) -> Option<Vec<u8>> {
        let (scrape, started) = (self.scrape.clone(), self.started_unix_nano);
        let encode = move || {
            let text = scrape.text();
            let times = (started, now_unix_nano());
            metrics::request(&text, times, resource(), scope()).encode_to_vec()
        };
        let encoded = tokio::task::spawn_blocking(encode).await;
        encoded.inspect_err(|error| tracing::error!(%error, "metrics could not be read")).ok()
    }

    async fn send(&mut self, path: &str, body: Vec<u8>) {
        let url = format!("{}{path}", self.config.endpoint.trim_end_matches('/'));
        let mut request =
            self.client.post(url).header("Content-Type", "application/x-protobuf").body(body);
        if let Some(authorization) = &self.config.authorization {
            request = request.header("Authorization", authorization.as_str());
        }
        let problem = match request.send().await {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("{path}: HTTP status {}", answer.status())),
            // Without the URL, which may hold what is secret.
            Err(error) => Some(format!("{path}: {}", error.without_url())),
        };
        match problem {
            Some(problem) if !self.failed => {
                let problem = telemetry::Escaped(&problem);
                tracing::warn!(event = "otlp_failed", %problem, "the collector takes nothing");
                self.failed = true;
            }
            None if self.failed => {
                tracing::info!(event = "otlp_recovered", "the collector takes what is sent");
                self.failed = false;
            }
            _ => {}
        }
    }
}

fn resource() -> Resource {
    let attributes = vec![
        attribute("service.name", "portcullis"),
        attribute("service.version", env!("CARGO_PKG_VERSION")),
    ];
    Resource { attributes, ..Resource::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "portcullis".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn now_unix_nano() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
