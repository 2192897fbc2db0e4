//! What the lists of all authorities say about a chain.
//!
//! Unknown is no: where lists are configured, every certificate of a chain must stand under a list that is fresh, and
//! must not be listed. A list that went stale still revokes.

use std::{collections::HashMap, sync::Arc};

use super::{crl::Crl, signature::AuthorityId, trust::Issued};

/// The lists that count.
#[derive(Default)]
pub(super) struct Revocation {
    /// Whether lists are configured.
    is_wanted: bool,
    lists: HashMap<AuthorityId, Vec<Arc<Crl>>>,
}

/// Why a chain is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Distrusted {
    /// One of its certificates is listed.
    #[error("a certificate of the chain is revoked")]
    Revoked,
    /// No list is about it.
    #[error("no revocation list says whether a certificate of the chain is revoked")]
    Unknown,
    /// Those that are went stale.
    #[error("the revocation list about a certificate of the chain is stale")]
    Stale,
}

impl Distrusted {
    pub(super) fn as_webpki(self) -> webpki::Error {
        match self {
            Self::Revoked => webpki::Error::CertRevoked,
            Self::Unknown | Self::Stale => webpki::Error::UnknownRevocationStatus,
        }
    }
}

impl Revocation {
    /// Lists are wanted: without one there is no coming in.
    pub(super) fn wanted() -> Self {
        Self { is_wanted: true, ..Self::default() }
    }

    /// Adds a list that `authority` signed.
    pub(super) fn add(&mut self, authority: AuthorityId, list: Arc<Crl>) {
        self.lists.entry(authority).or_default().push(list);
    }

    /// Judges a chain.
    pub(super) fn check(&self, path: &[Issued], now: u64) -> Result<(), Distrusted> {
        if !self.is_wanted {
            return Ok(());
        }
        // All of them first: that one is revoked says more than that nothing is known of another.
        if self.revokes(path) {
            return Err(Distrusted::Revoked);
        }
        for issued in path {
            let mut covering = self.about(issued).peekable();
            if covering.peek().is_none() {
                return Err(Distrusted::Unknown);
            }
            if !covering.any(|list| now < list.next_update) {
                return Err(Distrusted::Stale);
            }
        }
        Ok(())
    }

    /// Whether a certificate of the chain is listed.
    pub(super) fn revokes(&self, path: &[Issued]) -> bool {
        path.iter().any(|issued| self.about(issued).any(|list| list.lists(issued.serial)))
    }

    fn about<'a>(&'a self, issued: &'a Issued) -> impl Iterator<Item = &'a Arc<Crl>> {
        let lists = self.lists.get(&issued.by).into_iter().flatten();
        lists.filter(|list| list.scope.covers(issued.is_authority, &issued.points))
    }

    /// All lists that count.
    pub(super) fn lists(&self) -> impl Iterator<Item = &Arc<Crl>> {
        self.lists.values().flatten()
    }

    /// When the first list goes stale, seconds since 1970.
    pub(super) fn next_update(&self) -> Option<u64> {
        self.lists.values().flatten().map(|list| list.next_update).min()
    }

    /// Whether no list counts.
    pub(super) fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Revoked certificates, of all lists.
    pub(super) fn len(&self) -> usize {
        self.lists.values().flatten().map(|list| list.len()).sum()
    }
}
