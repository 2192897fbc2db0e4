//! Refusals that come faster than anybody reads: the first of a second have a line each, the rest
//! one line for all that are alike.
//!
//! Knows nothing of files. Bounded: so many groups a second, the rest is counted without its
//! address.

use std::{collections::BTreeMap, net::IpAddr};

use crate::{Entry, Happening, HappeningKind, calendar::timestamp};

/// Refusals of one kind that have a line of their own in a second.
const LINES_PER_SECOND: u32 = 50;
/// Kinds of addresses and reasons that are told apart in a second.
const GROUPS_MAX: usize = 64;

/// What happened in the present second.
#[derive(Debug, Default)]
pub(super) struct Flood {
    second: u64,
    lines: [u32; HappeningKind::ALL.len()],
    groups: BTreeMap<Group, u64>,
    /// Of seconds before the present one.
    over: Vec<(u64, Group, u64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    kind: HappeningKind,
    listener: Option<String>,
    address: Option<IpAddr>,
    reason: Option<String>,
}

impl Flood {
    /// Whether the event has a line of its own; counts it otherwise.
    pub(super) fn admit(&mut self, second: u64, happening: &Happening<'_>) -> bool {
        if !is_refusal(happening.kind) {
            return true;
        }
        self.turn(second);
        let Some(lines) = self.lines.get_mut(happening.kind as usize) else { return true };
        if *lines < LINES_PER_SECOND {
            *lines += 1;
            return true;
        }
        let mut group = Group {
            kind: happening.kind,
            listener: happening.listener.map(str::to_owned),
            address: happening.remote.map(|remote| remote.ip().to_canonical()),
            reason: happening.reason.map(str::to_owned),
        };
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&group) {
            group = Group { listener: None, address: None, reason: None, ..group };
        }
        *self.groups.entry(group).or_default() += 1;
        false
    }

    /// The lines of seconds that are over.
    pub(super) fn take(&mut self, now_second: u64) -> Vec<(u64, String)> {
        self.turn(now_second);
        let lines = self.over.drain(..).map(|(second, group, count)| {
            let at_unix_ms = second * 1_000;
            let entry = Entry {
                time: timestamp(at_unix_ms).into(),
                kind: "repeated".into(),
                of: Some(group.kind.name().into()),
                listener: group.listener.map(Into::into),
                remote: group.address.map(|address| address.to_string().into()),
                reason: group.reason.map(Into::into),
                count: Some(count),
                ..Entry::default()
            };
            (at_unix_ms, entry.line())
        });
        lines.collect()
    }

    fn turn(&mut self, second: u64) {
        if second == self.second {
            return;
        }
        let groups = std::mem::take(&mut self.groups);
        // Nobody took what there was for so long: it is told of in the sum of its kind.
        let room = OVER_MAX.saturating_sub(self.over.len());
        let before = self.second;
        for (group, count) in groups {
            if room > 0 {
                self.over.push((before, group, count));
            } else if let Some((_, _, sum)) =
                self.over.iter_mut().rev().find(|(_, known, _)| known.kind == group.kind)
            {
                *sum += count;
            }
        }
        self.lines = Default::default();
        self.second = second;
    }
}

/// Groups that wait to be written.
const OVER_MAX: usize = 16 * GROUPS_MAX;

fn is_refusal(kind: HappeningKind) -> bool {
    !matches!(
        kind,
        HappeningKind::Connected
            | HappeningKind::Authenticated
            | HappeningKind::Disconnected
            | HappeningKind::TakenOver
    )
}
