//! The control flags against a second description of them: instead of a state machine that goes
//! from link to link, statements about the whole chain, checked for every chain of three links.

use std::sync::Arc;

use codec::ReasonCode;

use super::{authenticate::authenticate, stopwatch::Stopwatch};
use crate::{
    Chain, Control, Link, OnError, PluginFailureKind, Refusal, RefusalKind, Verdict,
    testing::{
        NOW, allow, block_on, chain, connection, credentials, deny, fails, missing, no_time, says,
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Allow,
    Deny,
    Next,
    /// Its own error.
    Error,
    Timeout,
    Trap,
    OutOfMemory,
    Busy,
    Missing,
}

#[derive(Clone, Copy, Debug)]
struct Sketch {
    control: Control,
    on_error: OnError,
    word: Word,
}

const WORDS: [Word; 9] = [
    Word::Allow,
    Word::Deny,
    Word::Next,
    Word::Error,
    Word::Timeout,
    Word::Trap,
    Word::OutOfMemory,
    Word::Busy,
    Word::Missing,
];
const CONTROLS: [Control; 4] =
    [Control::Sufficient, Control::Required, Control::Requisite, Control::Optional];

impl Sketch {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for control in CONTROLS {
            for on_error in [OnError::Deny, OnError::Next] {
                all.extend(WORDS.map(|word| Self { control, on_error, word }));
            }
        }
        // What a failure means makes no difference where there is none.
        all.retain(|sketch| sketch.broke() || sketch.on_error == OnError::Deny);
        all
    }

    fn link(self, name: &str) -> Link {
        let link = match self.word {
            Word::Allow => says(name, self.control, allow("alice")),
            Word::Deny => says(name, self.control, deny(ReasonCode::BadUserNameOrPassword)),
            Word::Next => says(name, self.control, Ok(crate::Outcome::Next)),
            Word::Missing => missing(name, self.control),
            Word::Error => self.failing(name, PluginFailureKind::Unavailable),
            Word::Timeout => self.failing(name, PluginFailureKind::Deadline),
            Word::Trap => self.failing(name, PluginFailureKind::Trap),
            Word::OutOfMemory => self.failing(name, PluginFailureKind::Memory),
            Word::Busy => self.failing(name, PluginFailureKind::Busy),
        };
        Link { on_error: self.on_error, ..link }
    }

    fn failing(self, name: &str, kind: PluginFailureKind) -> Link {
        says(name, self.control, Err(fails(kind)))
    }

    fn broke(self) -> bool {
        !matches!(self.word, Word::Allow | Word::Deny | Word::Next)
    }

    fn passes(self) -> bool {
        self.word == Word::Next || self.broke() && self.on_error == OnError::Next
    }

    /// It speaks against the client, should it be asked.
    fn objects(self) -> bool {
        match self.control {
            Control::Optional => false,
            Control::Sufficient => self.word != Word::Allow && !self.passes(),
            Control::Required | Control::Requisite => self.word != Word::Allow,
        }
    }

    /// Nobody after it is asked, should it be asked.
    fn ends(self) -> bool {
        self.objects() && self.control != Control::Required
    }

    fn may_be_skipped(self) -> bool {
        matches!(self.control, Control::Sufficient | Control::Optional)
    }

    fn kind(self) -> RefusalKind {
        match self.word {
            Word::Deny => RefusalKind::Denied(ReasonCode::BadUserNameOrPassword),
            _ if self.passes() => RefusalKind::NotAllowed,
            Word::Busy => RefusalKind::Busy,
            _ => RefusalKind::PluginFailure,
        }
    }
}

/// A link is asked unless one that was asked before it ended the chain, or allowed as sufficient
/// one while this one may be skipped.
fn is_asked(sketches: &[Sketch], place: usize) -> bool {
    (0..place).filter(|before| is_asked(sketches, *before)).all(|before| {
        let before = sketches[before];
        let satisfies = before.control == Control::Sufficient && before.word == Word::Allow;
        let skips = satisfies && sketches[place].may_be_skipped();
        !before.ends() && !skips
    })
}

/// Accepted: at least one allow that counts, and no objection.
fn expected(sketches: &[Sketch]) -> Result<(), (Option<usize>, RefusalKind)> {
    let asked = || (0..sketches.len()).filter(|place| is_asked(sketches, *place));
    if let Some(first) = asked().find(|place| sketches[*place].objects()) {
        return Err((Some(first), sketches[first].kind()));
    }
    let counts = |sketch: Sketch| sketch.word == Word::Allow && sketch.control != Control::Optional;
    if asked().any(|place| counts(sketches[place])) {
        Ok(())
    } else {
        Err((None, RefusalKind::NotAllowed))
    }
}

#[track_caller]
fn check(sketches: &[Sketch], chain: &Chain) -> bool {
    let mut stopwatch = Stopwatch::start(no_time);
    let decision =
        block_on(authenticate(chain, &connection(), &credentials(), (&mut stopwatch, NOW)));
    let short = |refusal: Refusal| {
        let place = |name: Arc<str>| chain.links.iter().position(|link| link.name == name);
        (refusal.plugin.and_then(place), refusal.kind)
    };
    let result = decision.result.map(|identity| assert_eq!(&*identity.principal, "alice"));
    let result = result.map_err(short);
    assert_eq!(result, expected(sketches), "{sketches:?}");
    assert_eq!(decision.walk.len(), sketches.len(), "{sketches:?}");
    for (place, report) in decision.walk.iter().enumerate() {
        assert_eq!(report.plugin, chain.links[place].name);
        let skipped = report.verdict == Verdict::Skipped;
        assert_eq!(skipped, !is_asked(sketches, place), "{sketches:?} at {place}");
    }
    result.is_ok()
}

#[test]
fn every_chain_of_three_links() {
    let sketches = Sketch::all();
    let names = ["a", "b", "c"];
    let made: Vec<Vec<Link>> =
        names.iter().map(|name| sketches.iter().map(|s| s.link(name)).collect()).collect();
    let (mut accepted, mut refused) = (0_u32, 0_u32);
    for a in 0..sketches.len() {
        for b in 0..sketches.len() {
            for c in 0..sketches.len() {
                let chain = chain([&made[0][a], &made[1][b], &made[2][c]].map(Link::clone));
                let verdict = check(&[sketches[a], sketches[b], sketches[c]], &chain);
                *if verdict { &mut accepted } else { &mut refused } += 1;
            }
        }
    }
    assert_eq!(accepted + refused, 60 * 60 * 60);
    // Both sides are well represented: neither description says yes or no to everything.
    assert!(accepted > 5_000 && refused > 50_000, "{accepted} accepted, {refused} refused");
}

#[test]
fn no_link_that_fails_ever_makes_an_accepted_chain() {
    let broken: Vec<Sketch> =
        Sketch::all().into_iter().filter(|sketch| sketch.word != Word::Allow).collect();
    for a in &broken {
        for b in &broken {
            assert!(!check(&[*a, *b], &chain([a.link("a"), b.link("b")])));
        }
    }
}
