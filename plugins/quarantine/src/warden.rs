//! Who is in quarantine, who gets there, and where its messages go. Knows the host only as a trait, so
//! that all of it runs in native tests.

use portcullis_plugin::Error;

use crate::{
    host_state::{WardenHost, Whose},
    profile::{self, Profile},
    settings::{By, Learning, Settings},
    usual,
};

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes where it was sent to.
    Usual,
    /// It goes to this topic.
    Jailed(String),
}

/// A client: principal and Client Identifier.
type Named<'a> = (&'a str, &'a str);

/// Judges clients.
#[derive(Debug)]
pub(crate) struct Warden<H> {
    host: H,
    settings: Settings,
}

impl<H: WardenHost> Warden<H> {
    /// # Errors
    /// What is wrong with the settings.
    pub(crate) fn new(host: H, settings: Settings) -> Result<Self, String> {
        settings.check()?;
        Ok(Self { host, settings })
    }

    pub(crate) fn topics(&self) -> &[String] {
        &self.settings.topics
    }

    pub(crate) const fn counts_denied(&self) -> bool {
        self.settings.denied_per_minute.is_some()
    }

    /// Where each client's own part of the jail is, for a rule.
    pub(crate) fn own_filter(&self) -> String {
        let variable = match self.settings.by {
            By::Principal => "${username}",
            By::Client => "${clientid}",
        };
        format!("{}/{variable}/#", self.settings.jail)
    }

    /// # Errors
    /// The state does not answer: nobody knows.
    pub(crate) fn is_jailed(&self, named: Named<'_>) -> Result<bool, Error> {
        Ok(!self.is_exempt(named) && self.host.get(&self.key("jail", named))?.is_some())
    }

    /// Says where a message goes. Puts its publisher into quarantine if it left its usual topics.
    ///
    /// # Errors
    /// The state does not answer or is full: nobody knows.
    pub(crate) fn judge(&self, named: Named<'_>, topic: &str) -> Result<Verdict, Error> {
        let key = self.key("jail", named);
        if self.is_exempt(named) {
            if self.host.get(&key)?.is_some() {
                self.host.delete(&key)?;
                self.host.ask_again(self.whose(named));
            }
            return Ok(Verdict::Usual);
        }
        if self.host.get(&key)?.is_some() {
            return Ok(Verdict::Jailed(self.moved(named, topic)));
        }
        if self.is_usual(named, topic)? {
            return Ok(Verdict::Usual);
        }
        self.jail(named, topic, "published outside its usual topics")?;
        Ok(Verdict::Jailed(self.moved(named, topic)))
    }

    /// A PUBLISH of this client was refused.
    ///
    /// # Errors
    /// The state does not answer or is full.
    pub(crate) fn denied(&self, named: Named<'_>, topic: &str) -> Result<(), Error> {
        let Some(most) = self.settings.denied_per_minute else { return Ok(()) };
        if self.is_exempt(named) {
            return Ok(());
        }
        let count = self.host.count(&self.key("denied", named), 60)?;
        if count >= i64::from(most) && !self.is_jailed(named)? {
            self.jail(named, topic, "was refused too often")?;
        }
        Ok(())
    }

    fn jail(&self, named: Named<'_>, topic: &str, why: &str) -> Result<(), Error> {
        let seconds = self.settings.release_after_seconds;
        self.host.set(&self.key("jail", named), topic.as_bytes(), seconds)?;
        self.host.ask_again(self.whose(named));
        let (principal, client_id) = named;
        let fields = [("principal", principal), ("client_id", client_id), ("topic", topic)];
        self.host.tell(&format!("quarantined: {why}"), &fields);
        Ok(())
    }

    fn is_usual(&self, named: Named<'_>, topic: &str) -> Result<bool, Error> {
        if self.settings.usual.iter().any(|filter| usual::selects(filter, topic, named)) {
            return Ok(true);
        }
        match &self.settings.learning {
            Some(learning) => self.is_learned(named, topic, learning),
            None => Ok(false),
        }
    }

    /// Whether it was published in the time of learning; in that time it is from now on.
    fn is_learned(
        &self,
        named: Named<'_>,
        topic: &str,
        learning: &Learning,
    ) -> Result<bool, Error> {
        let key = self.key("usual", named);
        let topic = profile::leading(topic, learning.levels);
        // Other instances learn at the same time.
        for _ in 0..ATTEMPTS_MAX {
            let now = self.host.now_unix_ms();
            let (mut profile, version) = match self.host.get(&key)? {
                None => (Profile::new(now + 1_000 * u64::from(learning.seconds)), None),
                Some((bytes, version)) => {
                    let read = Profile::from_bytes(&bytes);
                    let read = read.ok_or_else(|| Error::internal("state: no profile"))?;
                    (read, Some(version))
                }
            };
            if profile.knows(topic) {
                return Ok(true);
            }
            if now >= profile.until_unix_ms || !profile.learn(topic, learning.topics_max) {
                return Ok(false);
            }
            if self.host.replace(&key, version, &profile.to_bytes())? {
                return Ok(true);
            }
        }
        Err(Error::unavailable("state: others changed it again and again"))
    }

    fn moved(&self, named: Named<'_>, topic: &str) -> String {
        format!("{}/{}/{topic}", self.settings.jail, self.name(named))
    }

    fn is_exempt(&self, named: Named<'_>) -> bool {
        let name = self.name(named);
        self.settings.exempt.iter().any(|exempt| exempt == name)
    }

    const fn name<'a>(&self, (principal, client_id): Named<'a>) -> &'a str {
        match self.settings.by {
            By::Principal => principal,
            By::Client => client_id,
        }
    }

    const fn whose<'a>(&self, (principal, client_id): Named<'a>) -> Whose<'a> {
        match self.settings.by {
            By::Principal => Whose::Principal(principal),
            By::Client => Whose::Client(client_id),
        }
    }

    /// Of bounded length, whatever clients call themselves.
    fn key(&self, kind: &str, (principal, client_id): Named<'_>) -> String {
        let name = match self.settings.by {
            By::Principal => principal.to_owned(),
            // No principal holds a control character.
            By::Client => format!("{principal}\0{client_id}"),
        };
        format!("{kind}/{}", self.host.digest(&name))
    }
}

/// Instances that add to one profile at once.
const ATTEMPTS_MAX: usize = 16;

#[cfg(test)]
mod tests;
