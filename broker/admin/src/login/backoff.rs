//! How slowly failed logins are heard: of a user from an address, of an address whoever it says it is, and of the
//! one-time codes of a user from anywhere.
//!
//! Knows nothing of passwords. A user alone never waits because of wrong passwords: anybody could lock anybody out. For wrong
//! codes it does: who says one has shown the password already.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use limits::{BackedOff, Claimant, LoginBackoff, LoginBackoffConfig};

/// See the module.
#[derive(Debug)]
pub(crate) struct Backoff {
    users: LoginBackoff,
    addresses: LoginBackoff,
    codes: LoginBackoff,
}

/// Failures of an address over all users that cost no wait: people behind one router mistype too.
const FREE_OF_ADDRESS: u32 = 20;
/// Longest wait of an address. Short: others may come from it.
const ADDRESS_DELAY_MAX: Duration = Duration::from_secs(10);
/// Pairs, addresses and users that are remembered.
const REMEMBERED: usize = 4_096;
/// Whoever it is.
const ANYBODY: Claimant<'_> = Claimant::Client("");
/// Wherever it is.
const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

impl Default for Backoff {
    fn default() -> Self {
        let of_user = LoginBackoffConfig { pairs: REMEMBERED, ..LoginBackoffConfig::default() };
        let of_address = LoginBackoffConfig {
            free_failures: FREE_OF_ADDRESS,
            delay_max: ADDRESS_DELAY_MAX,
            ..of_user
        };
        Self {
            users: LoginBackoff::new(of_user),
            addresses: LoginBackoff::new(of_address),
            codes: LoginBackoff::new(of_user),
        }
    }
}

impl Backoff {
    /// Asked before a login is tried. Each success needs one of the next three.
    ///
    /// # Errors
    /// The user at this address, or the address, has to wait.
    pub(crate) fn attempt(
        &mut self,
        address: IpAddr,
        claimant: Claimant<'_>,
        now: Instant,
    ) -> Result<(), BackedOff> {
        self.addresses.attempt(address, ANYBODY, now)?;
        let of_user = self.users.attempt(address, claimant, now);
        if of_user.is_err() {
            self.addresses.undecided(address, ANYBODY);
        }
        of_user
    }

    /// It failed.
    pub(crate) fn failed(&mut self, address: IpAddr, claimant: Claimant<'_>, now: Instant) {
        self.addresses.failed(address, ANYBODY, now);
        self.users.failed(address, claimant, now);
    }

    /// It succeeded. What failed from this address before did all the same: else whoever has a login of his own could
    /// guess those of others for ever.
    pub(crate) fn succeeded(&mut self, address: IpAddr, claimant: Claimant<'_>) {
        self.addresses.undecided(address, ANYBODY);
        self.users.succeeded(address, claimant);
    }

    /// It came to no verdict.
    pub(crate) fn undecided(&mut self, address: IpAddr, claimant: Claimant<'_>) {
        self.addresses.undecided(address, ANYBODY);
        self.users.undecided(address, claimant);
    }

    /// Asked before a one-time code is looked at; needs [`Backoff::code_was`].
    ///
    /// # Errors
    /// Codes of this user have to wait.
    pub(crate) fn attempt_code(&mut self, user: &str, now: Instant) -> Result<(), BackedOff> {
        self.codes.attempt(ANYWHERE, Claimant::User(user), now)
    }

    /// Whether the code was right; `None` = that could not be told.
    pub(crate) fn code_was(&mut self, user: &str, right: Option<bool>, now: Instant) {
        let user = Claimant::User(user);
        match right {
            Some(true) => self.codes.succeeded(ANYWHERE, user),
            Some(false) => drop(self.codes.failed(ANYWHERE, user, now)),
            None => self.codes.undecided(ANYWHERE, user),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(backoff: &mut Backoff, address: [u8; 4], user: &str, now: Instant) -> bool {
        let (address, claimant) = (IpAddr::from(address), Claimant::User(user));
        let heard = backoff.attempt(address, claimant, now).is_ok();
        if heard {
            backoff.failed(address, claimant, now);
        }
        heard
    }

    /// One password tried on all users.
    #[test]
    fn an_address_waits_whoever_it_says_it_is() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let mut heard = |address: [u8; 4], at: Instant| {
            let users = (0..100).map(|user| format!("user-{user}-{at:?}"));
            users.filter(|user| guess(&mut backoff, address, user, at)).count()
        };
        assert_eq!(heard([192, 0, 2, 1], now), 21, "twenty are free, and one more");
        assert_eq!(heard([192, 0, 2, 2], now), 21, "another address is another");
        let later = now + ADDRESS_DELAY_MAX;
        assert_eq!(heard([192, 0, 2, 1], later), 1);
        assert!(!guess(&mut backoff, [192, 0, 2, 1], "own", later + Duration::from_secs(1)));
    }

    #[test]
    fn a_login_of_ones_own_wipes_nothing_out() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        let (address, own) = ([192, 0, 2, 1], Claimant::User("own"));
        for user in 0..20 {
            assert!(guess(&mut backoff, address, &user.to_string(), now));
            backoff.attempt(address.into(), own, now).unwrap();
            backoff.succeeded(address.into(), own);
        }
        assert!(guess(&mut backoff, address, "x", now) && !guess(&mut backoff, address, "y", now));
    }

    #[test]
    fn codes_of_a_user_wait_wherever_they_come_from() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..4 {
            backoff.attempt_code("ann", now).unwrap();
            backoff.code_was("ann", Some(false), now);
        }
        assert!(backoff.attempt_code("ann", now).is_err());
        backoff.attempt_code("bob", now).unwrap();
        let later = now + Duration::from_secs(2);
        backoff.attempt_code("ann", later).unwrap();
        backoff.code_was("ann", Some(true), later);
        backoff.attempt_code("ann", later).unwrap();
        backoff.code_was("ann", None, later);
    }
}
