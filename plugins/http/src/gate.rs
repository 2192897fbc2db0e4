//! The three questions: who is it, what may it do, may it do this. Knows the host only as a trait,
//! so that all of it runs in native tests.

use portcullis_plugin::{
    Answer, Connection, Credentials, Decision, Denial, Error, Grant, HoldsFor, Operation, Outcome,
    PeerCertificate, PermissionSet, ProtocolVersion, Qos, Rule, Ruling, Subject,
    host::http_client::{self, Request, Response},
    reason_code,
};

use crate::{
    reply::{self, Reply, Word},
    request,
    settings::{Checked, Question, Settings, wrong},
    template::{Template, Variable, plain},
};

/// What the plugin needs from its host.
pub(crate) trait Web {
    /// A request and its response.
    fn send(&self, request: &Request) -> Result<Response, http_client::Error>;
    /// Seconds since 1970.
    fn now_unix(&self) -> u64;
}

/// Asks the service.
#[derive(Debug)]
pub(crate) struct Gate<H> {
    host: H,
    authenticate: Option<Checked>,
    sends_password: bool,
    principal: Template,
    superuser: Vec<Rule>,
    permissions: Option<Checked>,
    operations: Option<Checked>,
}

/// What a client says, or is, at one moment.
#[derive(Default)]
struct Values<'a> {
    username: &'a str,
    client_id: &'a str,
    password: &'a str,
    address: &'a str,
    listener: &'a str,
    protocol: &'static str,
    certificate: Option<&'a PeerCertificate>,
    action: &'static str,
    topic: &'a str,
    qos: &'static str,
    retain: &'static str,
    share_name: &'a str,
}

impl<'a> Values<'a> {
    fn of_connect(connection: &'a Connection, password: &'a str) -> Self {
        Self {
            username: connection.username.as_deref().unwrap_or_default(),
            client_id: &connection.client_id,
            password,
            address: &connection.remote_address,
            listener: &connection.listener,
            protocol: protocol(connection.protocol),
            certificate: connection.tls.as_ref().and_then(|tls| tls.certificate.as_ref()),
            ..Self::default()
        }
    }

    fn of_client(subject: &'a Subject) -> Self {
        Self {
            username: &subject.principal,
            client_id: &subject.client_id,
            address: &subject.remote_address,
            listener: &subject.listener,
            protocol: protocol(subject.protocol),
            certificate: subject.certificate.as_ref(),
            ..Self::default()
        }
    }

    fn of_operation(subject: &'a Subject, operation: &'a Operation) -> Self {
        let client = Self::of_client(subject);
        match operation {
            Operation::Publish(publish) => Self {
                action: "publish",
                topic: &publish.topic,
                qos: qos(publish.qos),
                retain: if publish.retain { "true" } else { "false" },
                ..client
            },
            Operation::Subscribe(subscribe) => Self {
                action: "subscribe",
                topic: &subscribe.filter,
                qos: qos(subscribe.qos),
                retain: "false",
                share_name: subscribe.share_name.as_deref().unwrap_or_default(),
                ..client
            },
        }
    }

    /// Empty where there is none.
    fn get(&self, variable: Variable) -> &'a str {
        let common_name = || self.certificate?.common_name.as_deref();
        match variable {
            Variable::Username => self.username,
            Variable::ClientId => self.client_id,
            Variable::Password => self.password,
            Variable::Peerhost => self.address,
            Variable::Listener => self.listener,
            Variable::ProtocolVersion => self.protocol,
            Variable::CertificateSubject => self.certificate.map_or("", |it| &it.subject),
            Variable::CertificateCommonName => common_name().unwrap_or_default(),
            Variable::Action => self.action,
            Variable::Topic => self.topic,
            Variable::Qos => self.qos,
            Variable::Retain => self.retain,
            Variable::ShareName => self.share_name,
        }
    }
}

impl<H: Web> Gate<H> {
    /// # Errors
    /// A mistake in the configuration.
    pub(crate) fn open(host: H, settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        let superuser = settings.superuser_rules()?;
        let sends_password = settings.authenticate.as_ref().is_some_and(|question| {
            question.body.as_ref().is_some_and(|body| request::has(body, Variable::Password))
        });
        let check = |question: Option<Question>, table, known: &[Variable]| {
            question.map(|question| question.check(table, known)).transpose()
        };
        let authenticate = check(settings.authenticate, "authenticate", &Variable::OF_CONNECT)?;
        let permissions = check(settings.permissions, "permissions", &Variable::OF_CLIENT)?;
        let operations = check(settings.operations, "operations", &Variable::OF_OPERATION)?;
        // What names a client is never its password.
        let principal = Template::parse(&settings.principal, &Variable::OF_CLIENT)
            .map_err(|what| wrong("principal", &what))?;
        Ok(Self {
            host,
            authenticate,
            sends_password,
            principal,
            superuser,
            permissions,
            operations,
        })
    }

    /// Who is it?
    ///
    /// # Errors
    /// The service gave no word.
    pub(crate) fn authenticate(
        &self,
        connection: &Connection,
        credentials: &Credentials,
    ) -> Result<Outcome, Error> {
        let Some(checked) = &self.authenticate else { return Ok(Outcome::Next) };
        let password = match &credentials.password {
            // Somebody who shows neither is not ours to judge by a password.
            None if connection.username.is_none() && self.sends_password => {
                return Ok(Outcome::Next);
            }
            // Some systems take an empty password for no password, and that for a yes.
            None if self.sends_password => return Ok(Outcome::bad_credentials()),
            None => "",
            Some(password) if password.is_empty() => return Ok(Outcome::bad_credentials()),
            Some(password) => match std::str::from_utf8(password) {
                Ok(password) => password,
                Err(_) if self.sends_password => return Ok(Outcome::bad_credentials()),
                Err(_) => "",
            },
        };
        let values = Values::of_connect(connection, password);
        let Some(reply) = self.ask(checked, &values)? else {
            return Ok(Outcome::bad_credentials());
        };
        match reply.result {
            Word::Ignore => Ok(Outcome::Next),
            Word::Deny => {
                Ok(Outcome::Deny(Denial { reason_code: reason_code::NOT_AUTHORIZED, reason: None }))
            }
            Word::Allow => self.grant(&reply, &values).map(Outcome::Allow),
        }
    }

    fn grant(&self, reply: &Reply, values: &Values<'_>) -> Result<Grant, Error> {
        let principal = self.principal.fill(|variable| values.get(variable), plain);
        let mut grant = match principal.is_empty() {
            true => Grant::default(),
            false => Grant::new(principal),
        };
        // First, so that nothing in the list takes it back, as in EMQX.
        if reply.is_superuser {
            grant.permissions.clone_from(&self.superuser);
        }
        grant.permissions.extend(reply.rules()?.unwrap_or_default());
        for (name, value) in &reply.client_attrs {
            grant = grant.attribute(name, value);
        }
        grant.groups.clone_from(&reply.groups);
        grant.expires_at_unix = reply.end(self.host.now_unix())?;
        Ok(grant)
    }

    /// What may it do?
    ///
    /// # Errors
    /// The service gave no word.
    pub(crate) fn permissions(&self, subject: &Subject) -> Result<Answer, Error> {
        let Some(checked) = &self.permissions else { return Ok(Answer::Next) };
        let Some(reply) = self.ask(checked, &Values::of_client(subject))? else {
            return Ok(Answer::DenyAll);
        };
        match reply.result {
            Word::Ignore => return Ok(Answer::Next),
            Word::Deny => return Ok(Answer::DenyAll),
            Word::Allow => {}
        }
        let mut rules = match reply.is_superuser {
            true => self.superuser.clone(),
            false => Vec::new(),
        };
        match reply.rules()? {
            Some(own) => rules.extend(own),
            None if reply.is_superuser => {}
            None => return Err(Error::unavailable("the service's reply: it allows, but what?")),
        }
        let holds_for = HoldsFor::Client;
        let now = self.host.now_unix();
        let left = reply.end(now)?.map(|end| end.saturating_sub(now));
        let left = left.map(|left| u32::try_from(left).unwrap_or(u32::MAX));
        let ttl_seconds = [reply.ttl, left].into_iter().flatten().min();
        match ttl_seconds {
            Some(0) => Err(Error::unavailable("the service's reply: ttl is 1 or more")),
            ttl_seconds => {
                let ttl_seconds = ttl_seconds.map(|seconds| seconds.min(TTL_SECONDS_MAX));
                Ok(Answer::Permissions(PermissionSet { rules, ttl_seconds, holds_for }))
            }
        }
    }

    /// Topic Filters of what is asked about.
    pub(crate) fn topics(&self) -> Vec<String> {
        let topics = self.operations.as_ref().and_then(|checked| checked.question.topics.clone());
        topics.unwrap_or_default()
    }

    /// May it do this?
    ///
    /// # Errors
    /// The service gave no word.
    pub(crate) fn authorize(
        &self,
        subject: &Subject,
        operation: &Operation,
    ) -> Result<Ruling, Error> {
        let Some(checked) = &self.operations else {
            return Ok(Ruling { decision: Decision::Next, ttl_seconds: None });
        };
        let reply = self.ask(checked, &Values::of_operation(subject, operation))?;
        let refusal = Denial { reason_code: reason_code::NOT_AUTHORIZED, reason: None };
        let decision = match reply.map(|reply| reply.result) {
            Some(Word::Allow) => Decision::Allow,
            Some(Word::Ignore) => Decision::Next,
            Some(Word::Deny) | None => Decision::Deny(refusal),
        };
        Ok(Ruling { decision, ttl_seconds: checked.question.ttl_seconds })
    }

    /// None where what the client says cannot be asked.
    fn ask(&self, checked: &Checked, values: &Values<'_>) -> Result<Option<Reply>, Error> {
        let Some(request) = request::request(checked, |variable| values.get(variable)) else {
            return Ok(None);
        };
        let answer = self.host.send(&request);
        reply::read(answer, checked.question.no_content).map(Some)
    }
}

const fn protocol(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::V311 => "4",
        ProtocolVersion::V50 => "5",
    }
}

const fn qos(qos: Qos) -> &'static str {
    match qos {
        Qos::AtMostOnce => "0",
        Qos::AtLeastOnce => "1",
        Qos::ExactlyOnce => "2",
    }
}

/// What the contract allows.
const TTL_SECONDS_MAX: u32 = 3_600;

#[cfg(test)]
pub(crate) mod tests;
