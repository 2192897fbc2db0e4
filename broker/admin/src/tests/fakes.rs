//! A broker with a few clients and a plugin manager that remembers what it was asked.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use access::{
    Activity, Answer, BoxFuture, BreakerInfo, Chain, Condition, Control, Effect, Gate, Held,
    HeldBecause, HoldsFor, HookCalls, Identity, KeptVersion, Link, LinkState, PermissionSet,
    Permissions, PluginError, PluginFailureKind, PluginInfo, PluginManager, PluginState, PoolInfo,
    QoSSet, Rule, ShadowDifference, ShadowReport, Subject, UploadStage, UploadedPlugin,
    VersionInfo, Waiting, Whose,
};
use codec::{ProtocolVersion, ReasonCode};
use limits::{Ban, Bans, NewBan};
use server::{
    BanError, BanPage, BrokerHandle, ClientInfo, LimitInfo, ListenerInfo, QueueTotals, StoreTotals,
    TlsStatus, Totals,
};
use telemetry::{Metrics, Records};
use tokio::sync::Semaphore;

use super::{backup::FakeBackups, records::TemporaryLog};
use crate::{AdminState, KeyError, KeyInfo, KeyManager, KeyState, NewKey, RingInfo};

mod configuration;
mod holdings;

pub(super) use configuration::FakeConfig;

pub(crate) struct Fakes {
    pub(super) broker: Arc<FakeBroker>,
    pub(super) plugins: Arc<FakePlugins>,
    pub(super) keys: Arc<FakeKeys>,
    pub(super) backups: Arc<FakeBackups>,
    pub(super) config: Arc<FakeConfig>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) records: Records,
    _access_log: TemporaryLog,
}

#[derive(Default)]
pub(super) struct FakeBroker {
    pub(super) clients: BTreeMap<String, bool>,
    pub(super) disconnected: Mutex<Vec<(String, ReasonCode)>>,
    pub(super) taken_back: Mutex<Vec<String>>,
    pub(super) unbound: AtomicBool,
    pub(super) bans: Mutex<Bans>,
    /// What was asked of what it holds.
    pub(super) asked: Mutex<Vec<String>>,
    /// What is changed cannot be written down.
    pub(super) disk_full: AtomicBool,
}

#[derive(Clone, Default)]
pub(super) struct FakePlugins {
    pub(super) asked: Arc<Mutex<Vec<String>>>,
    pub(super) not_ready: Arc<Mutex<Vec<String>>>,
    /// When set, a change waits for a permit.
    pub(super) hold: Arc<Mutex<Option<Arc<Semaphore>>>>,
    /// When set, `acl-file` is disabled, and a chain names it or does not.
    pub(super) disabled: Arc<Mutex<Option<bool>>>,
    only_if: Option<String>,
}

impl Fakes {
    /// Clients `a`, `b/1 ä` (connected) and `c` (not connected); plugin `acl-file`.
    pub(crate) fn new() -> Self {
        let clients = [("a", true), ("b/1 ä", true), ("c", false)];
        let clients = clients.map(|(id, connected)| (id.to_owned(), connected));
        let metrics = Metrics::new();
        let access_log = TemporaryLog::new(&metrics);
        Self {
            broker: Arc::new(FakeBroker { clients: clients.into(), ..FakeBroker::default() }),
            plugins: Arc::default(),
            keys: Arc::default(),
            backups: Arc::default(),
            config: Arc::default(),
            records: Records {
                access_log: Some(Arc::clone(&access_log.0)),
                ..Records::in_memory(&metrics)
            },
            _access_log: access_log,
            metrics,
        }
    }

    pub(super) fn state(&self) -> AdminState {
        let gate = Gate::new(|| Duration::ZERO);
        let link = |name: &str, state| Link {
            name: name.into(),
            generation: "0123abcd".into(),
            control: Control::Required,
            on_error: access::OnError::Deny,
            state,
        };
        let missing = LinkState::Missing("gone".to_owned());
        let links = vec![link("acl-file", missing)];
        gate.swap(Chain { links }, HashMap::new());
        AdminState {
            broker: self.broker.clone(),
            plugins: self.plugins.clone(),
            keys: self.keys.clone(),
            backups: self.backups.clone(),
            config: self.config.clone(),
            gate: Arc::new(gate),
            metrics: self.metrics.clone(),
            records: self.records.clone(),
            ready_checks: vec![Box::new(Vec::new)],
        }
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.plugins.asked.lock().unwrap().clone()
    }
}

fn client(id: &str, connected: bool) -> ClientInfo {
    ClientInfo {
        client_id: id.into(),
        connected,
        principal: "user".into(),
        authenticated_by: "password-file".into(),
        groups: vec!["north-staff".to_owned()],
        username: Some("User".to_owned()),
        listener: "mqtt".into(),
        remote: connected.then(|| "127.0.0.1:5000".parse().unwrap()),
        protocol: "5.0",
        keep_alive_seconds: 60,
        clean_start: true,
        session_expiry_interval: u32::MAX,
        since_unix: 1_700_000_000,
        subscriptions: 1,
        in_flight: 1,
        queued: 2,
        dropped: 3,
        generation: 1,
    }
}

impl BrokerHandle for FakeBroker {
    fn client(&self, client_id: &str) -> Option<ClientInfo> {
        self.clients.get(client_id).map(|connected| client(client_id, *connected))
    }

    fn permissions(&self, client_id: &str) -> Option<Arc<Permissions>> {
        self.clients.get(client_id).filter(|connected| **connected)?;
        Some(Arc::new(permissions(client_id)))
    }

    fn disconnect(&self, client_id: &str, reason: ReasonCode) -> bool {
        let connected = self.clients.get(client_id).copied().unwrap_or(false);
        if connected {
            self.disconnected.lock().unwrap().push((client_id.to_owned(), reason));
        }
        connected
    }

    fn take_back(&self, whose: Whose<'_>) {
        self.taken_back.lock().unwrap().push(format!("{whose:?}"));
    }

    fn bans(&self, after: u64, limit: usize) -> BanPage {
        let bans = self.bans.lock().unwrap();
        let mut found: Vec<_> = bans.list(after, 0).cloned().collect();
        let more = found.len() > limit;
        found.truncate(limit);
        BanPage { next: found.last().filter(|_| more).map(|ban| ban.id), bans: found }
    }

    fn find_ban(&self, id: u64) -> Option<Ban> {
        self.bans.lock().unwrap().get(id, 0).cloned()
    }

    fn ban(&self, new: NewBan) -> Result<(Ban, u64), BanError> {
        let made = self.bans.lock().unwrap().add(new, 0).map_err(BanError::TooMany)?;
        if self.disk_full.load(Ordering::Relaxed) {
            return Err(BanError::NotKept(std::io::Error::other("the disk is full")));
        }
        Ok((made, 2))
    }

    fn lift_ban(&self, id: u64) -> Result<Option<Ban>, BanError> {
        Ok(self.bans.lock().unwrap().lift(id, 0))
    }

    fn listeners(&self) -> Vec<ListenerInfo> {
        if self.unbound.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let address = server::ListenerAddress::Socket("127.0.0.1:1883".parse().unwrap());
        vec![ListenerInfo { name: "mqtt".into(), transport: "tcp", address, connections: 2 }]
    }

    fn queues(&self) -> QueueTotals {
        QueueTotals {
            connected: 1,
            queued: 12,
            queued_bytes: 3_400,
            queued_longest: 9,
            in_flight: 2,
            waiting_sessions: 2,
        }
    }

    fn totals(&self) -> Totals {
        Totals {
            connections: 2,
            sessions: 3,
            subscriptions: 4,
            retained_messages: 5,
            retained_bytes: 6,
            overload_level: 7,
        }
    }

    fn tls(&self) -> Vec<TlsStatus> {
        vec![TlsStatus {
            listener: "tls".into(),
            certificates: vec![("server.pem".to_owned(), 2_000_000_000)],
            crl_next_update: Some(1_900_000_000),
            clients_expire: Some(1_800_000_000),
            failed: vec![("crl", "is no list".to_owned())],
            ..TlsStatus::default()
        }]
    }

    fn limits(&self) -> Vec<LimitInfo> {
        vec![LimitInfo { name: "connections", maximum: 10.0, current: Some(2.0) }]
    }

    fn store(&self) -> Option<StoreTotals> {
        Some(StoreTotals { available: true, log_files: 7, log_bytes: 8, ..StoreTotals::default() })
    }
}

/// May publish to and subscribe to `open/#`, but `open/secret` is denied.
pub(super) fn permissions(client_id: &str) -> Permissions {
    let subject = Subject {
        identity: Arc::new(Identity {
            principal: "user".into(),
            authenticated_by: "password-file".into(),
            groups: Vec::new(),
            attributes: Vec::new(),
            expires_at_unix: None,
            session_expiry_seconds_max: None,
            permissions: Vec::new(),
            limits: access::ClientLimits::default(),
            user_properties: Vec::new(),
        }),
        client_id: client_id.into(),
        listener: "mqtt".into(),
        remote: [127, 0, 0, 1].into(),
        protocol: ProtocolVersion::V5,
        certificate: None,
    };
    let rule = |effect, filter: &str| Rule {
        effect,
        activity: Activity { publish: true, subscribe: true },
        filter: filter.to_owned(),
        qos: QoSSet::ALL,
        retain: Condition::Any,
        shared: Condition::Any,
        share_name: None,
    };
    let rules = vec![rule(Effect::Deny, "open/secret"), rule(Effect::Allow, "open/#")];
    let answer = Answer::Permissions(PermissionSet {
        rules,
        ttl_seconds: None,
        holds_for: HoldsFor::Client,
    });
    Permissions::compile(&subject, &[("acl-file".into(), answer)]).unwrap()
}

fn plugin(name: &str) -> PluginInfo {
    PluginInfo {
        name: name.to_owned(),
        state: PluginState::LiveOld,
        generation: Some("0123abcd".to_owned()),
        generations: 2,
        load_failures: 3,
        described: Some(("ACL".to_owned(), "1.0".to_owned())),
        hooks: vec!["authorizer".to_owned()],
        imports: vec!["log".to_owned()],
        order: 100,
        control: Control::Sufficient,
        error: Some("the newest file is no component".to_owned()),
        calls: 10,
        failures: 1,
        failure_kinds: vec![(PluginFailureKind::Deadline, 1)],
        call_microseconds: 2_500_000,
        versions: VersionInfo {
            live: Some("89ab".to_owned()),
            on_probation: false,
            held: Some(Held { version: "89ab".to_owned(), because: HeldBecause::Probation }),
            waiting: Some(Waiting { version: "cdef".to_owned(), asks: vec!["state".to_owned()] }),
            candidate: None,
            kept: vec![KeptVersion {
                version: "89ab".to_owned(),
                proven: true,
                since_unix: 1_700_000_000,
                described: ("ACL".to_owned(), "1.0".to_owned()),
            }],
            rollbacks: vec![(HeldBecause::Probation, 1)],
        },
        breaker: BreakerInfo { open: false, open_addresses: 1, opened: 2, refused: 3 },
        hook_calls: vec![HookCalls {
            hook: "authorizer",
            calls: 10,
            time: Duration::from_millis(25),
        }],
        pool: PoolInfo {
            places: 8,
            in_use: 2,
            idle: 3,
            waiting: 1,
            made: 5,
            memory_peak_bytes: 131_072,
            memory_max_bytes: 1_048_576,
        },
        grants: vec![("secrets", vec!["db".to_owned()])],
        is_named: false,
    }
}

impl FakePlugins {
    /// Names that begin with `bad-` and `broken-` fail in their own ways.
    fn change(&self, what: &str, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        if self.only_if.as_ref().is_some_and(|tag| *tag != plugin(name).tag()) {
            let name = name.to_owned();
            return Box::pin(async move { Err(PluginError::Changed(name)) });
        }
        self.asked.lock().unwrap().push(format!("{what} {name}"));
        let answer = match name {
            "missing" => Err(PluginError::NotFound(name.to_owned())),
            "bad" => Err(PluginError::Invalid("bad".to_owned())),
            "rejected" => Err(PluginError::Rejected("imports too much".to_owned())),
            "broken" => Err(PluginError::Internal("disk full".to_owned())),
            _ => Ok(plugin(name)),
        };
        let hold = self.hold.lock().unwrap().clone();
        Box::pin(async move {
            if let Some(hold) = hold {
                hold.acquire().await.unwrap().forget();
            }
            answer
        })
    }
}

impl PluginManager for FakePlugins {
    fn list(&self) -> Vec<PluginInfo> {
        let plugin = plugin("acl-file");
        match *self.disabled.lock().unwrap() {
            None => vec![plugin],
            Some(is_named) => {
                let (state, versions) = (PluginState::Disabled, VersionInfo::default());
                vec![PluginInfo { state, versions, is_named, ..plugin }]
            }
        }
    }

    fn get(&self, name: &str) -> Option<PluginInfo> {
        match name {
            "acl-file" | "password-file" => Some(plugin(name)),
            "waiting" => {
                Some(PluginInfo { state: PluginState::WaitingForApproval, ..plugin(name) })
            }
            _ => None,
        }
    }

    fn only_if(&self, tag: String) -> Arc<dyn PluginManager> {
        Arc::new(Self { only_if: Some(tag), ..self.clone() })
    }

    fn upload(&self, plugin: UploadedPlugin) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        let signed = plugin.signature.map(|text| format!(" signed {text:?}")).unwrap_or_default();
        let what = format!("upload {} bytes{signed} as", plugin.wasm.len());
        plugin.progress.reached(UploadStage::Checking);
        self.change(&what, &plugin.name)
    }

    fn reload(&self, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        self.change("reload", name)
    }

    fn shadow(&self, plugin: UploadedPlugin) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        let what = format!("shadow of {} bytes for", plugin.wasm.len());
        plugin.progress.reached(UploadStage::Testing);
        self.change(&what, &plugin.name)
    }

    fn shadow_report(&self, name: &str) -> Result<ShadowReport, PluginError> {
        if name == "missing" {
            return Err(PluginError::NotFound(name.to_owned()));
        }
        Ok(ShadowReport {
            calls: 9,
            differences: 1,
            by_hook: vec![("authenticate".to_owned(), 1)],
            last: vec![ShadowDifference {
                hook: "authenticate".to_owned(),
                client_id: "c".to_owned(),
                user: None,
                lines: vec!["x".to_owned()],
            }],
            ..ShadowReport::default()
        })
    }

    fn promote(&self, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        self.change("promote", name)
    }

    fn drop_shadow(&self, name: &str) -> BoxFuture<'_, Result<(), PluginError>> {
        let dropped = self.change("drop the shadow of", name);
        Box::pin(async move { dropped.await.map(|_| ()) })
    }

    fn approve(
        &self,
        name: &str,
        version: Option<String>,
    ) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        let what =
            version.map_or_else(|| "approve".to_owned(), |version| format!("approve {version} of"));
        self.change(&what, name)
    }

    fn rollback(&self, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        self.change("rollback", name)
    }

    fn disable(&self, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        self.change("disable", name)
    }

    fn enable(&self, name: &str) -> BoxFuture<'_, Result<PluginInfo, PluginError>> {
        self.change("enable", name)
    }

    fn forget(&self, name: &str) -> BoxFuture<'_, Result<(), PluginError>> {
        let forgotten = self.change("forget", name);
        Box::pin(async move { forgotten.await.map(|_| ()) })
    }

    fn not_ready(&self) -> Vec<String> {
        self.not_ready.lock().unwrap().clone()
    }

    fn warnings(&self) -> Vec<String> {
        vec!["only deny-all is in the chain".to_owned()]
    }
}

/// One ring, `devices`; each number fails in its own way.
#[derive(Default)]
pub(super) struct FakeKeys {
    pub(super) asked: Mutex<Vec<String>>,
}

impl FakeKeys {
    fn change(&self, what: String, ring: &str, id: Option<u32>) -> Result<RingInfo, KeyError> {
        self.asked.lock().unwrap().push(what);
        match id {
            Some(1) => Err(KeyError::Refused("number 1 is taken".to_owned())),
            Some(404) => Err(KeyError::UnknownKey(404)),
            Some(500) => Err(KeyError::NotKept("the disk is full".to_owned())),
            _ => self.ring(ring).ok_or_else(|| KeyError::UnknownRing(ring.to_owned())),
        }
    }
}

impl KeyManager for FakeKeys {
    fn rings(&self) -> Vec<RingInfo> {
        self.ring("devices").into_iter().collect()
    }

    fn ring(&self, name: &str) -> Option<RingInfo> {
        let state = KeyState::Seals;
        let key = KeyInfo { id: 1, state, created_unix: Some(7), retired_unix: None };
        let (algorithm, managed) = ("aes-256-gcm", true);
        let ring = RingInfo { name: name.to_owned(), algorithm, managed, keys: vec![key] };
        (name == "devices").then_some(ring)
    }

    fn add(&self, ring: &str, new: &NewKey) -> Result<RingInfo, KeyError> {
        let bytes = new.value.as_ref().map(|value| format!("{} bytes", value.len()));
        let value = bytes.unwrap_or_else(|| "random".to_owned());
        self.change(format!("add {ring} {:?} {value}", new.id), ring, new.id)
    }

    fn rotate(&self, ring: &str, id: Option<u32>) -> Result<RingInfo, KeyError> {
        self.change(format!("rotate {ring} {id:?}"), ring, id)
    }

    fn retire(&self, ring: &str, id: u32) -> Result<RingInfo, KeyError> {
        self.change(format!("retire {ring} {id}"), ring, Some(id))
    }
}
