//! Who is connected to the admin API, and who gives way when it is full: the oldest connection that
//! has not shown the token, so that no number of them keeps an operator or a health check out.
//!
//! Knows nothing of HTTP and sockets: `listener` admits and ends connections, `guard` says that one
//! has shown the token.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use crate::shares::{Share, Shares};

/// One connection; its requests carry it.
#[derive(Clone, Debug)]
pub(crate) struct Visitor(Arc<State>);

#[derive(Debug)]
struct State {
    network: IpAddr,
    /// Whose it is, since a request of it carried a token.
    share: OnceLock<Share>,
    long_answer: AtomicBool,
    leave: Notify,
}

impl State {
    fn is_known(&self) -> bool {
        self.share.get().is_some()
    }
}

impl Visitor {
    /// A request of this connection carried a token of this user. Whoever holds as many connections as one may stays a
    /// stranger on the others: they are served, and give way.
    pub(crate) fn belongs_to(&self, user: Option<&str>, connections: &Shares) {
        if self.is_known() {
            return;
        }
        if let Some(share) = connections.take(user) {
            // Another request of this connection was first: one is enough.
            drop(self.0.share.set(share));
        }
    }

    /// Whether a request of this connection carried a token.
    pub(crate) fn is_known(&self) -> bool {
        self.0.is_known()
    }

    /// The answer to a request of this connection may take hours; whoever gives it bounds it.
    pub(crate) fn is_given_long_answer(&self) {
        self.0.long_answer.store(true, Ordering::Relaxed);
    }

    /// Whether the answer to a request of this connection may take hours.
    pub(crate) fn has_long_answer(&self) -> bool {
        self.0.long_answer.load(Ordering::Relaxed)
    }

    /// Returns when this connection has to give way.
    pub(crate) async fn asked_to_leave(&self) {
        self.0.leave.notified().await;
    }
}

/// All connections that nobody has asked to leave, in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Visitors(Vec<Weak<State>>);

impl Visitors {
    /// Lets one more in. Strangers of one network that are more than `strangers_max` lose their
    /// oldest.
    pub(crate) fn admit(&mut self, address: IpAddr, strangers_max: usize) -> Visitor {
        self.0.retain(|visitor| visitor.strong_count() > 0);
        let visitor = Visitor(Arc::new(State {
            network: network(address),
            share: OnceLock::new(),
            long_answer: AtomicBool::new(false),
            leave: Notify::new(),
        }));
        let network = visitor.0.network;
        let same = self.strangers().filter(|(_, stranger)| stranger.network == network);
        if same.count() >= strangers_max {
            self.send_away(|stranger| stranger.network == network);
        }
        self.0.push(Arc::downgrade(&visitor.0));
        visitor
    }

    /// Asks the oldest stranger to leave; `false` = there is none.
    pub(crate) fn make_room(&mut self) -> bool {
        self.send_away(|_| true)
    }

    fn send_away(&mut self, who: impl Fn(&State) -> bool) -> bool {
        let oldest = self.strangers().find(|(_, stranger)| who(stranger));
        let Some((at, stranger)) = oldest else {
            return false;
        };
        stranger.leave.notify_one();
        self.0.remove(at);
        true
    }

    fn strangers(&self) -> impl Iterator<Item = (usize, Arc<State>)> {
        let alive = self.0.iter().enumerate().filter_map(|(at, weak)| Some((at, weak.upgrade()?)));
        alive.filter(|(_, state)| !state.is_known())
    }
}

/// An address, of IPv6 its /64: one site has as many addresses of it as it likes.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn leaves(visitor: &Visitor) -> bool {
        let leaves = visitor.asked_to_leave();
        tokio::select! {
            biased;
            () = leaves => true,
            () = std::future::ready(()) => false,
        }
    }

    fn admit(visitors: &mut Visitors, address: &str) -> Visitor {
        visitors.admit(address.parse().unwrap(), 2)
    }

    #[tokio::test]
    async fn the_oldest_stranger_gives_way() {
        let mut visitors = Visitors::default();
        let [one, two, three] =
            ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(|address| admit(&mut visitors, address));
        let connections = Shares::new(1);
        one.belongs_to(Some("ann"), &connections);
        one.belongs_to(Some("ann"), &connections);
        assert!(visitors.make_room());
        assert!(!leaves(&one).await && leaves(&two).await && !leaves(&three).await);
        three.belongs_to(Some("ann"), &connections);
        assert!(!three.is_known(), "ann holds as many as she may");
        three.belongs_to(Some("bob"), &connections);
        assert!(!visitors.make_room());
        assert!(!leaves(&one).await && !leaves(&three).await);
    }

    #[tokio::test]
    async fn one_network_has_its_share() {
        for (same, other) in [("10.0.0.1", "10.0.0.2"), ("2001:db8::1", "2001:db8:0:1::1")] {
            let mut visitors = Visitors::default();
            let foreign = admit(&mut visitors, other);
            let [one, two, three] = [same; 3].map(|address| admit(&mut visitors, address));
            assert!(leaves(&one).await && !leaves(&two).await && !leaves(&three).await);
            assert!(!leaves(&foreign).await);
            drop((two, three));
            let four = admit(&mut visitors, same);
            let five = admit(&mut visitors, same);
            assert!(!leaves(&four).await && !leaves(&five).await, "who went counts no more");
        }
    }
}
