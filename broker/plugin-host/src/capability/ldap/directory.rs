//! One directory: connections to it, and what is asked on them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, SearchOptions, SearchStream,
};
use url::Url;

use super::{Answer, LdapSettings, Question, text};
use crate::{
    bindings::portcullis::plugin::ldap::{Entry, Error, Scope},
    capability::{
        connections::{Connections, Place},
        tls::{Tls, is_loopback},
    },
};

const ENTRIES_MAX: usize = 1_000;
const RESULT_BYTES_MAX: usize = 1 << 20;
/// What a value costs beside its own bytes.
const VALUE_BYTES: usize = 16;

/// Result codes of the protocol (RFC 4511, appendix A).
mod code {
    pub(super) const SUCCESS: u32 = 0;
    pub(super) const TIME_LIMIT_EXCEEDED: u32 = 3;
    pub(super) const SIZE_LIMIT_EXCEEDED: u32 = 4;
    pub(super) const COMPARE_FALSE: u32 = 5;
    pub(super) const COMPARE_TRUE: u32 = 6;
    pub(super) const REFERRAL: u32 = 10;
    pub(super) const NO_SUCH_ATTRIBUTE: u32 = 16;
    pub(super) const NO_SUCH_OBJECT: u32 = 32;
    pub(super) const INVALID_DN_SYNTAX: u32 = 34;
    pub(super) const INAPPROPRIATE_AUTHENTICATION: u32 = 48;
    pub(super) const INVALID_CREDENTIALS: u32 = 49;
    pub(super) const BUSY: u32 = 51;
    pub(super) const UNAVAILABLE: u32 = 52;
}

/// A directory.
pub(super) struct Directory {
    settings: LdapSettings,
    url: Url,
    tls: Option<Tls>,
    /// Bound as the broker.
    searches: Arc<Connections<Ldap>>,
    /// Bound as whoever tried to log in last.
    logins: Arc<Connections<Ldap>>,
    /// Whether the last connection failed: said once.
    is_down: AtomicBool,
}

impl Directory {
    pub(super) fn new(settings: LdapSettings) -> Result<Self, String> {
        let url = parse(&settings.url)?;
        let host = url.host_str().unwrap_or_default();
        let encrypted = url.scheme() == "ldaps" || settings.starttls;
        if !encrypted && !settings.allow_plain && !is_loopback(host) {
            let what = "passwords would be sent in the clear; allowed: ldaps://, starttls = true, \
                        or allow_plain = true";
            return Err(what.to_owned());
        }
        let tls = match (encrypted, &settings.ca) {
            (true, Some(pem)) => {
                Some(Tls::trusting(pem, &[]).map_err(|what| format!("ca: {what}"))?)
            }
            (true, None) => Some(Tls::default()),
            (false, Some(_)) => return Err("ca: there is no TLS to judge by it".to_owned()),
            (false, None) => None,
        };
        if settings.bind.as_ref().is_some_and(|(dn, secret)| {
            dn.is_empty() || secret.expose().is_empty() || secret.text().is_none()
        }) {
            return Err("bind_dn and bind_password must not be empty, nor other than UTF-8".into());
        }
        let (searches, logins) =
            (Connections::new(settings.connections), Connections::new(settings.connections));
        Ok(Self { settings, url, tls, searches, logins, is_down: AtomicBool::new(false) })
    }

    pub(super) fn settings(&self) -> &LdapSettings {
        &self.settings
    }

    /// Asks on a connection that waits or on a new one. Where the one that waited turns out to be
    /// broken, the question is asked again: it changes nothing.
    pub(super) async fn ask(&self, question: &Question) -> Result<Answer, Error> {
        let is_login = matches!(question, Question::Bind { .. });
        if let Question::Bind { password, .. } = question
            && password.text().is_none_or(str::is_empty)
        {
            // Without a password a directory lets everybody in, as nobody: that is no login. Nor is
            // one that cannot be sent.
            return Ok(Answer::Is(false));
        }
        let connections = if is_login { &self.logins } else { &self.searches };
        let place = connections.place(self.settings.connect_timeout).await;
        let place = place.map_err(Error::Unavailable)?;
        if let Some(mut ldap) = waiting(&place) {
            match self.in_time(&mut ldap, question).await? {
                Err(Failed::Broken) => place.close_parked(),
                Err(Failed::Other(error)) => return Err(error),
                Ok(answer) => {
                    place.park(ldap);
                    return answer;
                }
            }
        }
        let mut ldap = self.connect(!is_login).await?;
        match self.in_time(&mut ldap, question).await? {
            Err(Failed::Broken) => Err(Error::Unavailable("the connection broke".to_owned())),
            Err(Failed::Other(error)) => Err(error),
            Ok(answer) => {
                place.park(ldap);
                answer
            }
        }
    }

    async fn in_time(
        &self,
        ldap: &mut Ldap,
        question: &Question,
    ) -> Result<Result<Result<Answer, Error>, Failed>, Error> {
        let asked = tokio::time::timeout(self.settings.timeout, self.asked(ldap, question));
        asked.await.map_err(|_| Error::Timeout)
    }

    /// The outer error means that the connection is of no use any more.
    async fn asked(
        &self,
        ldap: &mut Ldap,
        question: &Question,
    ) -> Result<Result<Answer, Error>, Failed> {
        match question {
            Question::Bind { dn, password } => {
                let password = password.text().unwrap_or_default();
                let result = ldap.simple_bind(dn, password).await?;
                Ok(match result.rc {
                    code::SUCCESS => Ok(Answer::Is(true)),
                    code::INVALID_CREDENTIALS
                    | code::NO_SUCH_OBJECT
                    | code::INAPPROPRIATE_AUTHENTICATION => Ok(Answer::Is(false)),
                    _ => Err(refused(&result)),
                })
            }
            Question::Compare { dn, attribute, value } => {
                let result = ldap.compare(dn, attribute, value).await?.0;
                Ok(match result.rc {
                    code::COMPARE_TRUE => Ok(Answer::Is(true)),
                    code::COMPARE_FALSE | code::NO_SUCH_ATTRIBUTE | code::NO_SUCH_OBJECT => {
                        Ok(Answer::Is(false))
                    }
                    _ => Err(refused(&result)),
                })
            }
            Question::Search { base, scope, filter, attributes } => {
                let seconds = self.settings.timeout.as_secs() + 1;
                let options = SearchOptions::new()
                    .sizelimit(i32::try_from(ENTRIES_MAX + 1).unwrap_or(i32::MAX))
                    .timelimit(i32::try_from(seconds).unwrap_or(i32::MAX));
                ldap.with_search_options(options);
                let wanted = attributes.clone();
                let stream = ldap.streaming_search(base, scope_of(*scope), filter, wanted).await?;
                entries(stream).await
            }
        }
    }

    async fn connect(&self, as_broker: bool) -> Result<Ldap, Error> {
        let connected =
            tokio::time::timeout(self.settings.connect_timeout, self.connected(as_broker));
        let what = match connected.await {
            Ok(Ok(ldap)) => {
                self.is_down.store(false, Ordering::Relaxed);
                return Ok(ldap);
            }
            Ok(Err(what)) => what,
            Err(_) => "it does not answer in time".to_owned(),
        };
        if !self.is_down.swap(true, Ordering::Relaxed) {
            let url = &self.settings.url;
            tracing::warn!(url, error = what, "a directory of plugins is not there");
        }
        // Where it is and who the broker is there are the operator's business.
        Err(Error::Unavailable("no connection to the directory".to_owned()))
    }

    async fn connected(&self, as_broker: bool) -> Result<Ldap, String> {
        let mut settings = LdapConnSettings::new();
        if let Some(tls) = &self.tls {
            settings = settings.set_config(tls.config().await?);
            settings = settings.set_starttls(self.url.scheme() == "ldap");
        }
        let (connection, mut ldap) = LdapConnAsync::from_url_with_settings(settings, &self.url)
            .await
            .map_err(|error| chain(&error))?;
        // It ends with its handle, or when the server hangs up.
        tokio::spawn(connection.drive());
        if let Some((dn, password)) = self.settings.bind.as_ref().filter(|_| as_broker) {
            let password = password.text().ok_or("the password is not UTF-8")?;
            let bound = ldap.simple_bind(dn, password).await.map_err(|error| chain(&error))?;
            if bound.rc != code::SUCCESS {
                return Err(format!("bind_dn: {} ({})", bound.text, bound.rc));
            }
        }
        Ok(ldap)
    }
}

fn parse(text: &str) -> Result<Url, String> {
    let form = "allowed: ldaps://HOST[:PORT] or ldap://HOST[:PORT]";
    let url = Url::parse(text).map_err(|error| format!("is no URL ({error}), {form}"))?;
    let more = !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some();
    let user = !url.username().is_empty() || url.password().is_some();
    let host = url.host_str().is_some_and(|host| !host.is_empty());
    match matches!(url.scheme(), "ldaps" | "ldap") && host && !more && !user {
        true => Ok(url),
        false => Err(form.to_owned()),
    }
}

/// One whose server has not hung up.
fn waiting(place: &Place<Ldap>) -> Option<Ldap> {
    std::iter::from_fn(|| place.parked()).find_map(|mut ldap| (!ldap.is_closed()).then_some(ldap))
}

fn scope_of(scope: Scope) -> ldap3::Scope {
    match scope {
        Scope::Base => ldap3::Scope::Base,
        Scope::One => ldap3::Scope::OneLevel,
        Scope::Subtree => ldap3::Scope::Subtree,
    }
}

/// Continuations to other servers are passed over.
async fn entries(mut stream: Entries<'_>) -> Result<Result<Answer, Error>, Failed> {
    let (mut found, mut bytes) = (Vec::new(), 0_usize);
    while let Some(next) = stream.next().await? {
        if next.is_ref() || next.is_intermediate() {
            continue;
        }
        let entry = text::entry(next.0).ok_or(Failed::Broken)?;
        bytes = bytes.saturating_add(size(&entry));
        if bytes > RESULT_BYTES_MAX || found.len() >= ENTRIES_MAX {
            // The rest of it is on its way, and goes with the connection.
            return Err(Failed::Other(Error::TooLarge));
        }
        found.push(entry);
    }
    let result = stream.finish().await;
    Ok(match result.rc {
        code::SUCCESS => Ok(Answer::Entries(found)),
        _ => Err(refused(&result)),
    })
}

type Entries<'a> = SearchStream<'a, String, Vec<String>>;

/// Why a connection is closed.
enum Failed {
    /// It is broken.
    Broken,
    /// It is not, but more would come on it than is wanted.
    Other(Error),
}

impl From<LdapError> for Failed {
    fn from(error: LdapError) -> Self {
        match error {
            LdapError::FilterParsing => Self::Other(Error::Malformed("the filter".to_owned())),
            _ => Self::Broken,
        }
    }
}

fn size(entry: &Entry) -> usize {
    let values = entry.attributes.iter().map(|(name, values)| {
        let values = values.iter().map(|value| VALUE_BYTES + value.len());
        VALUE_BYTES + name.len() + values.sum::<usize>()
    });
    VALUE_BYTES + entry.dn.len() + values.sum::<usize>()
}

fn refused(result: &LdapResult) -> Error {
    let text = if result.text.is_empty() {
        format!("code {}", result.rc)
    } else {
        format!("{} (code {})", result.text, result.rc)
    };
    match result.rc {
        code::TIME_LIMIT_EXCEEDED => Error::Timeout,
        code::SIZE_LIMIT_EXCEEDED => Error::TooLarge,
        code::INVALID_DN_SYNTAX => Error::Malformed(text),
        code::BUSY | code::UNAVAILABLE => Error::Unavailable(text),
        code::REFERRAL => Error::Refused("it refers to another directory".to_owned()),
        _ => Error::Refused(text),
    }
}

fn chain(error: &LdapError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sources::Secret;

    fn settings(url: &str) -> LdapSettings {
        LdapSettings {
            url: url.to_owned(),
            starttls: true,
            allow_plain: false,
            ca: None,
            bind: None,
            connections: 1,
            connect_timeout: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn nothing_is_said_in_the_clear_to_another_machine() {
        let plain = |url: &str| LdapSettings { starttls: false, ..settings(url) };
        for fine in [
            settings("ldap://dir.example"),
            settings("ldaps://dir.example:636"),
            plain("ldaps://dir.example"),
            plain("ldap://127.0.0.1:389"),
            plain("ldap://localhost"),
            LdapSettings { allow_plain: true, ..plain("ldap://dir.example") },
        ] {
            assert!(Directory::new(fine.clone()).is_ok(), "{fine:?}");
        }
        let error = Directory::new(plain("ldap://dir.example")).err().unwrap();
        assert!(error.contains("in the clear"), "{error}");
    }

    #[test]
    fn what_is_no_directory() {
        for url in [
            "dir.example",
            "http://dir.example",
            "ldap://",
            "ldap://u:p@dir.example",
            "ldap://dir.example/dc=example",
            "ldaps://dir.example?x",
            "ldapi:///run/slapd",
        ] {
            let error = Directory::new(settings(url)).err().unwrap();
            assert!(error.contains("allowed: ldaps://"), "{url}: {error}");
        }
        let bind = Some(("cn=a".to_owned(), Secret::new(Vec::new())));
        let error = Directory::new(LdapSettings { bind, ..settings("ldap://d") }).err().unwrap();
        assert!(error.contains("must not be empty"), "{error}");
        let ca = Some("nonsense".to_owned());
        let error = Directory::new(LdapSettings { ca, ..settings("ldap://d") }).err().unwrap();
        assert!(error.contains("no certificate"), "{error}");
    }

    /// No network is needed to say no.
    #[tokio::test]
    async fn an_empty_password_is_no_login() {
        let directory = Directory::new(settings("ldaps://nowhere.invalid")).unwrap();
        for password in [Vec::new(), vec![0xff]] {
            let (dn, password) = ("cn=alice".to_owned(), Secret::new(password));
            let tried = directory.ask(&Question::Bind { dn, password }).await;
            assert!(matches!(tried, Ok(Answer::Is(false))), "{:?}", tried.err());
        }
    }
}
