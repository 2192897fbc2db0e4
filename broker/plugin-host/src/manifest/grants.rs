//! `[grants]` of a manifest: what the operator lends to the plugin beyond what every plugin has.
//!
//! Parses and checks what can be checked without the broker's configuration; whether that has what
//! is named here is seen when a generation is built.

use serde::Deserialize;
use toml::Spanned;
use topic::TopicFilter;

use super::{ManifestError, SIZES, Source};
use crate::{candidate::valid_name, capability::http_client::UrlPrefix};

/// What was granted. `Default` is nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Grants {
    /// `[secrets.NAME]` that it may use by name.
    pub(crate) secrets: Vec<String>,
    /// Those of `secrets` that it may also read.
    pub(crate) reveal: Vec<String>,
    /// `[keys.NAME]`.
    pub(crate) keys: Vec<String>,
    /// `[jwt.NAME]`.
    pub(crate) jwt: Vec<String>,
    /// Bytes of keys and values that it may keep.
    pub(crate) state_bytes: Option<u64>,
    /// Where its HTTP requests may go.
    pub(crate) http: Vec<UrlPrefix>,
    /// Also to addresses of private networks.
    pub(crate) http_private: bool,
    /// `[sql.NAME]`.
    pub(crate) sql: Vec<String>,
    /// `[ldap.NAME]`.
    pub(crate) ldap: Vec<String>,
    /// Whether it may take back what the broker keeps.
    pub(crate) cache_control: bool,
    /// Functions of interface `broker`.
    pub(crate) broker: Vec<BrokerFunction>,
    /// Where it may publish.
    pub(crate) publish_topics: Vec<TopicFilter>,
    /// Interfaces whose list stands there and is empty: the plugin may import them, and is lent
    /// nothing.
    pub(crate) declined: Vec<&'static str>,
}

/// A function of interface `broker`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BrokerFunction {
    /// `publish`.
    Publish,
    /// `disconnect`.
    Disconnect,
    /// `subscriptions`.
    Subscriptions,
}

const BROKER_FUNCTIONS: [(&str, BrokerFunction); 3] = [
    ("publish", BrokerFunction::Publish),
    ("disconnect", BrokerFunction::Disconnect),
    ("subscriptions", BrokerFunction::Subscriptions),
];

/// Entries of one list.
const ENTRIES_MAX: usize = 64;
/// Least and most of `state`.
const STATE_BYTES: (u64, u64) = (1 << 10, 64 << 20);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGrants {
    secrets: Option<List>,
    reveal: Option<List>,
    keys: Option<List>,
    jwt: Option<List>,
    state: Option<Spanned<toml::Value>>,
    http: Option<List>,
    http_private: Option<Spanned<bool>>,
    sql: Option<List>,
    ldap: Option<List>,
    cache_control: Option<Spanned<bool>>,
    broker: Option<List>,
    publish_topics: Option<List>,
}

type List = Spanned<Vec<Spanned<String>>>;

impl RawGrants {
    /// By the names of the interfaces.
    fn declined(&self) -> Vec<&'static str> {
        let lists = [
            ("secrets", &self.secrets),
            ("keys", &self.keys),
            ("jwt", &self.jwt),
            ("http-client", &self.http),
            ("sql", &self.sql),
            ("ldap", &self.ldap),
            ("broker", &self.broker),
        ];
        let is_empty = |list: &List| list.get_ref().is_empty();
        let empty = lists.into_iter().filter(|(_, list)| list.as_ref().is_some_and(is_empty));
        empty.map(|(interface, _)| interface).collect()
    }
}

impl Grants {
    /// Keys of `[grants]` that lend something, with what stands there.
    pub(crate) fn listed(&self) -> Vec<(&'static str, Vec<String>)> {
        let flag = |set: bool| if set { vec!["true".to_owned()] } else { Vec::new() };
        let word = |function: &BrokerFunction| {
            let named = BROKER_FUNCTIONS.iter().find(|(_, known)| known == function);
            named.map(|(word, _)| (*word).to_owned())
        };
        let filters = self.publish_topics.iter().map(|filter| filter.as_str().to_owned());
        let keys = [
            ("secrets", self.secrets.clone()),
            ("reveal", self.reveal.clone()),
            ("keys", self.keys.clone()),
            ("jwt", self.jwt.clone()),
            ("state", self.state_bytes.iter().map(u64::to_string).collect()),
            ("http", self.http.iter().map(UrlPrefix::to_string).collect()),
            ("http_private", flag(self.http_private)),
            ("sql", self.sql.clone()),
            ("ldap", self.ldap.clone()),
            ("cache_control", flag(self.cache_control)),
            ("broker", self.broker.iter().filter_map(word).collect()),
            ("publish_topics", filters.collect()),
        ];
        keys.into_iter().filter(|(_, values)| !values.is_empty()).collect()
    }

    /// Names of keys of `[grants]` that say more than those of `other`.
    pub(crate) fn beyond(&self, other: &Self) -> Vec<&'static str> {
        fn more<T: PartialEq>(mine: &[T], theirs: &[T]) -> bool {
            mine.iter().any(|entry| !theirs.contains(entry))
        }
        let keys = [
            ("secrets", more(&self.secrets, &other.secrets)),
            ("reveal", more(&self.reveal, &other.reveal)),
            ("keys", more(&self.keys, &other.keys)),
            ("jwt", more(&self.jwt, &other.jwt)),
            ("state", self.state_bytes > other.state_bytes),
            ("http", more(&self.http, &other.http)),
            ("http_private", self.http_private && !other.http_private),
            ("sql", more(&self.sql, &other.sql)),
            ("ldap", more(&self.ldap, &other.ldap)),
            ("cache_control", self.cache_control && !other.cache_control),
            ("broker", more(&self.broker, &other.broker)),
            ("publish_topics", more(&self.publish_topics, &other.publish_topics)),
        ];
        keys.into_iter().filter(|(_, is_more)| *is_more).map(|(key, _)| key).collect()
    }
}

impl Source<'_> {
    pub(super) fn grants(&self, raw: RawGrants) -> Result<Grants, ManifestError> {
        let flag = |raw: Option<Spanned<bool>>| raw.is_some_and(Spanned::into_inner);
        let declined = raw.declined();
        let reveal_at = raw.reveal.as_ref().map_or(0, |list| list.span().start);
        let topics_at = raw.publish_topics.as_ref().map_or(0, |list| list.span().start);
        let broker_at = raw.broker.as_ref().map_or(0, |list| list.span().start);
        let private_at = raw.http_private.as_ref().map_or(0, |flag| flag.span().start);
        let grants = Grants {
            secrets: self.names("secrets", raw.secrets)?,
            reveal: self.names("reveal", raw.reveal)?,
            keys: self.names("keys", raw.keys)?,
            jwt: self.names("jwt", raw.jwt)?,
            state_bytes: self.quantity("grants.state", raw.state, STATE_BYTES, &SIZES)?,
            http: self.list("http", raw.http, UrlPrefix::parse)?,
            http_private: flag(raw.http_private),
            sql: self.names("sql", raw.sql)?,
            ldap: self.names("ldap", raw.ldap)?,
            cache_control: flag(raw.cache_control),
            broker: self.list("broker", raw.broker, |word| {
                super::choice_of(&BROKER_FUNCTIONS, word).ok_or_else(|| {
                    "must be one of \"publish\", \"disconnect\", \"subscriptions\"".to_owned()
                })
            })?,
            publish_topics: self.list("publish_topics", raw.publish_topics, |filter| {
                TopicFilter::new(filter).map_err(|error| format!("is no Topic Filter: {error}"))
            })?,
            declined,
        };
        if let Some(name) = grants.reveal.iter().find(|name| !grants.secrets.contains(name)) {
            let message = format!("grants.reveal: {name:?} does not stand in grants.secrets");
            return Err(self.error(reveal_at, message));
        }
        let publishes = grants.broker.contains(&BrokerFunction::Publish);
        if publishes && grants.publish_topics.is_empty() {
            let message = "grants.broker: \"publish\" needs publish_topics, the Topic Filters \
                           that it may publish to";
            return Err(self.error(broker_at, message.to_owned()));
        }
        if !publishes && !grants.publish_topics.is_empty() {
            let message = "grants.publish_topics: means nothing without broker = [\"publish\"]";
            return Err(self.error(topics_at, message.to_owned()));
        }
        if grants.http_private && grants.http.is_empty() {
            let message = "grants.http_private: means nothing without http = [...]";
            return Err(self.error(private_at, message.to_owned()));
        }
        Ok(grants)
    }

    fn names(&self, key: &str, raw: Option<List>) -> Result<Vec<String>, ManifestError> {
        self.list(key, raw, |name| match valid_name(name) {
            true => Ok(name.to_owned()),
            false => Err("must be 1 to 64 letters, digits, '-' and '_'".to_owned()),
        })
    }

    fn list<T>(
        &self,
        key: &str,
        raw: Option<List>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, ManifestError> {
        let Some(raw) = raw else { return Ok(Vec::new()) };
        if raw.get_ref().len() > ENTRIES_MAX {
            let message = format!("grants.{key}: at most {ENTRIES_MAX} entries are granted");
            return Err(self.error(raw.span().start, message));
        }
        let entries = raw.into_inner().into_iter().map(|entry| {
            read(entry.get_ref()).map_err(|what| {
                let message = format!("grants.{key}: {:?}: {what}", entry.get_ref());
                self.error(entry.span().start, message)
            })
        });
        entries.collect()
    }
}
