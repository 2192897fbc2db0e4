//! Finds the rules that could select a topic without looking at all of them.
//!
//! Every filter has a literal head: the levels before its first wildcard. A topic selected by the
//! filter starts with these levels, and so does every filter that the filter covers. Filters
//! without a wildcard are found by their whole text, the others by their head; those without a
//! head by their last level, where that is no wildcard: what they select or cover ends with it.
//! Knows only places in the list of rules, not what the rules mean.

use std::collections::HashMap;

use ahash::RandomState;
use topic::TopicFilter;

use super::rules::CompiledRule;

/// Where to look for the first rule.
#[derive(Debug)]
pub(super) enum RuleIndex {
    /// So few rules that looking at all of them is as fast and a table would only cost memory.
    All,
    /// By the leading levels.
    ByHead(Box<HeadIndex>),
}

/// Places of rules, ascending. The keys may hold names that clients chose: the maps are keyed with
/// a random seed, so that nobody can make them collide.
#[derive(Debug)]
pub(super) struct HeadIndex {
    /// Rules without wildcard, by their filter.
    literal: HashMap<TopicFilter, Vec<usize>, RandomState>,
    /// Rules with a wildcard behind a literal head, by the head without the `/` that ends it.
    by_head: HashMap<Box<str>, Vec<usize>, RandomState>,
    /// Bit n: some key of `by_head` has n levels.
    head_levels: u16,
    /// Rules that start with a wildcard and end with a literal level, by that level.
    by_last_level: HashMap<Box<str>, Vec<usize>, RandomState>,
    /// Rules that start and end with a wildcard.
    headless: Vec<usize>,
}

impl RuleIndex {
    pub(super) fn new(rules: &[CompiledRule]) -> Self {
        if rules.len() <= RULES_WITHOUT_INDEX_MAX {
            return Self::All;
        }
        let mut index = HeadIndex::new();
        for (place, rule) in rules.iter().enumerate() {
            index.add(place, &rule.filter);
        }
        Self::ByHead(Box::new(index))
    }

    /// The first of `rule_count` places that is `wanted`, where only rules that select or cover
    /// `text` are ever wanted.
    pub(super) fn first(
        &self,
        rule_count: usize,
        text: &str,
        mut wanted: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        match self {
            Self::All => (0..rule_count).find(|place| wanted(*place)),
            Self::ByHead(index) => index.first(text, &mut wanted),
        }
    }
}

impl HeadIndex {
    fn new() -> Self {
        let hasher = topic::fresh_hasher();
        Self {
            literal: HashMap::with_hasher(hasher.clone()),
            by_head: HashMap::with_hasher(hasher.clone()),
            head_levels: 0,
            by_last_level: HashMap::with_hasher(hasher),
            headless: Vec::new(),
        }
    }

    fn add(&mut self, place: usize, filter: &TopicFilter) {
        if !filter.has_wildcard() {
            self.literal.entry(filter.clone()).or_default().push(place);
            return;
        }
        match head(filter.as_str()) {
            Some((head, levels)) => {
                self.by_head.entry(head.into()).or_default().push(place);
                self.head_levels |= 1 << levels;
            }
            None => match last_level(filter.as_str()) {
                "+" | "#" => self.headless.push(place),
                level => self.by_last_level.entry(level.into()).or_default().push(place),
            },
        }
    }

    fn first(&self, text: &str, wanted: &mut impl FnMut(usize) -> bool) -> Option<usize> {
        let mut best = None;
        look(self.literal.get(text), &mut best, wanted);
        let mut remaining = self.head_levels;
        // `a/#` selects `a`: the end of the text ends a head like a `/` does.
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'/').map(|(at, _)| at);
        for (end, levels) in ends.chain([text.len()]).zip(1..=HEAD_LEVELS_MAX) {
            let bit = 1 << levels;
            if remaining & bit != 0 {
                remaining &= !bit;
                let found = text.get(..end).and_then(|head| self.by_head.get(head));
                look(found, &mut best, wanted);
            }
            if remaining == 0 {
                break;
            }
        }
        if !self.by_last_level.is_empty() {
            look(self.by_last_level.get(last_level(text)), &mut best, wanted);
        }
        // Last, because nothing narrows them down but a rule that was already found.
        look(Some(&self.headless), &mut best, wanted);
        best
    }
}

/// Goes on to `best` at most: what comes later could not be first.
fn look(
    places: Option<&Vec<usize>>,
    best: &mut Option<usize>,
    wanted: &mut impl FnMut(usize) -> bool,
) {
    let end = best.unwrap_or(usize::MAX);
    let mut places = places.into_iter().flatten().copied().take_while(|place| *place < end);
    if let Some(place) = places.find(|place| wanted(*place)) {
        *best = Some(place);
    }
}

/// The levels before the first wildcard, at most [`HEAD_LEVELS_MAX`], and how many they are. None
/// when the filter starts with a wildcard.
fn head(filter: &str) -> Option<(&str, usize)> {
    // In a valid filter these characters stand alone in their level.
    let wildcard = filter.find(['+', '#']).unwrap_or(filter.len());
    let literal = filter.get(..wildcard)?.strip_suffix('/')?;
    let mut ends = literal.match_indices('/').map(|(at, _)| at);
    match ends.nth(HEAD_LEVELS_MAX - 1) {
        Some(end) => Some((literal.get(..end)?, HEAD_LEVELS_MAX)),
        None => Some((literal, literal.matches('/').count() + 1)),
    }
}

fn last_level(text: &str) -> &str {
    text.rsplit_once('/').map_or(text, |(_, level)| level)
}

/// Longest list of rules that is searched as it is.
const RULES_WITHOUT_INDEX_MAX: usize = 8;

/// Levels of a head that are looked at: bounds the work for topics of many levels.
const HEAD_LEVELS_MAX: usize = 8;
