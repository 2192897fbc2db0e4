//! Fields that not everybody may read: rights of a role beside its permissions, and the mask.
//!
//! Knows nothing of routes. Whatever leaves the broker through the admin API (JSON, events, pages,
//! exports) passes its fields of these kinds through [`Fields`].

use std::borrow::Cow;

use crate::problem::Problem;

/// A kind of field that needs a right of its own, written `field:NAME` among the permissions of a
/// role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    /// Payloads of messages.
    Payload,
    /// Topic Names and Topic Filters.
    Topic,
    /// Addresses of clients.
    Address,
    /// User Names and principals.
    Username,
    /// Client Identifiers.
    ClientId,
    /// Will Messages.
    Will,
}

impl Field {
    /// All there are.
    pub(crate) const ALL: [Self; 6] =
        [Self::Payload, Self::Topic, Self::Address, Self::Username, Self::ClientId, Self::Will];

    /// How a role names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Payload => "field:payload",
            Self::Topic => "field:topic",
            Self::Address => "field:address",
            Self::Username => "field:username",
            Self::ClientId => "field:client_id",
            Self::Will => "field:will",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What somebody may read in clear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(u8);

impl Fields {
    pub(crate) fn all() -> Self {
        Field::ALL.into_iter().fold(Self::default(), Self::with)
    }

    #[must_use]
    pub(crate) fn with(self, field: Field) -> Self {
        Self(self.0 | field.bit())
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn has(self, field: Field) -> bool {
        self.0 & field.bit() != 0
    }

    /// The rights by name.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        Field::ALL.into_iter().filter(move |field| self.has(*field)).map(Field::name)
    }

    /// `text`, or the mask for whoever may not read it.
    pub(crate) fn show<'a>(self, field: Field, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        if self.has(field) { text.into() } else { Cow::Borrowed(MASK) }
    }

    /// What an action was about: parts of a path, which may be client ids and topics.
    pub(crate) fn show_target<'a>(self, target: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        self.show(Field::ClientId, self.show(Field::Topic, target))
    }

    /// For what is of no use with a mask in it: whoever may not read every field gets none of it.
    pub(crate) fn check_all(self, what: &str) -> Result<(), Problem> {
        if self == Self::all() {
            return Ok(());
        }
        let all = Self::all().names().collect::<Vec<_>>().join(", ");
        Err(Problem::forbidden(format!("{what} holds fields that your roles do not show"))
            .allowed(format!("whoever has {all}")))
    }

    /// A sentence about a client, which may name anything of it: for those who may read all of that.
    pub(crate) fn show_sentence<'a>(self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        let named = [Field::ClientId, Field::Username, Field::Address, Field::Topic];
        let may = named.into_iter().all(|field| self.has(field));
        if may { text.into() } else { Cow::Borrowed(MASK) }
    }
}

/// What stands in the place of a field that is not shown.
pub(crate) const MASK: &str = "***";
