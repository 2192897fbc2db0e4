//! Permissions as a plugin writes them, before they are compiled for one client.
//!
//! Knows nothing of how they are matched: that is `permissions.rs`.

/// What a rule does when it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Permit.
    Allow,
    /// Refuse.
    Deny,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Activity {
    /// PUBLISH and Will Messages.
    pub publish: bool,
    /// SUBSCRIBE and delivery.
    pub subscribe: bool,
}

/// QoS levels a rule is about: bit n = QoS n.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QoSSet(pub u8);

impl QoSSet {
    /// All three.
    pub const ALL: Self = Self(0b111);

    /// Whether this QoS is in the set.
    pub fn contains(self, qos: codec::QoS) -> bool {
        self.0 & (1 << qos as u8) != 0
    }
}

/// Three-valued condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Matches both.
    Any,
    /// Matches only when set.
    Yes,
    /// Matches only when not set.
    No,
}

/// One permission. WIT record `rule`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Allow or deny.
    pub effect: Effect,
    /// Publish, subscribe or both.
    pub activity: Activity,
    /// Topic filter with `${clientid}` and `${username}` (the principal). Anything else in `${}`,
    /// or a filter that is not valid, is a failure of the link.
    pub filter: String,
    /// QoS of the PUBLISH, or maximum QoS of the SUBSCRIBE.
    pub qos: QoSSet,
    /// RETAIN flag of a PUBLISH; not looked at for a SUBSCRIBE.
    pub retain: Condition,
    /// Shared subscription; not looked at for a PUBLISH.
    pub shared: Condition,
    /// Only this share name, taken as it is; not looked at for a PUBLISH. `None` = every.
    pub share_name: Option<String>,
}

/// The rules of one link for one client, first match wins. WIT record `permission-set`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PermissionSet {
    /// In order of precedence, at most 10,000.
    pub rules: Vec<Rule>,
    /// 1 to 3,600 seconds; `None` = 60.
    pub ttl_seconds: Option<u32>,
    /// Who else may be given it without asking.
    pub holds_for: HoldsFor,
}

/// For whom an answer holds as it stands, on the listener that it was given for. The plugin says
/// so; the broker cannot know. WIT enum `holds-for`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HoldsFor {
    /// Only for a client that looks the same in every field of the subject.
    #[default]
    Client,
    /// For each client of one principal with the same groups and attributes from the same link.
    Principal,
    /// For every client.
    Everyone,
}

impl HoldsFor {
    /// The narrowest first: what was said for this very client goes before what holds for all.
    pub(crate) const ALL: [Self; 3] = [Self::Client, Self::Principal, Self::Everyone];
}
