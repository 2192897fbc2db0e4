//! The pieces of work: what every message pays in the pure crates. Each is prepared first, done once
//! while instructions are counted, and comes to a number that is known beforehand.

mod deliver;
mod judge;
mod packets;
mod topics;

/// A piece of work.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// What it comes to.
    pub(crate) expected: usize,
    /// Everything that is not counted.
    pub(crate) prepare: fn() -> Ready,
}

/// What is counted.
pub(crate) type Ready = Box<dyn FnMut() -> usize>;

/// How often each is done.
const TIMES: usize = 1_000;

/// All of them.
pub(crate) const ALL: &[Work] = &[
    Work {
        name: "decode-publish",
        about: "1,000 PUBLISH packets of 3.1.1, QoS 0, 64 bytes",
        expected: TIMES,
        prepare: packets::decode_v311,
    },
    Work {
        name: "decode-publish-v5",
        about: "1,000 PUBLISH packets of 5.0, QoS 1, with properties",
        expected: TIMES,
        prepare: packets::decode_v5,
    },
    Work {
        name: "encode-publish",
        about: "the same of 3.1.1 encoded",
        expected: 90 * TIMES,
        prepare: packets::encode,
    },
    Work {
        name: "match-exact",
        about: "1,000 topics among 10,000 subscriptions, each with one that is exact",
        expected: TIMES,
        prepare: topics::match_exact,
    },
    Work {
        name: "match-wildcards",
        about: "the same, each with one `+` and one `#`",
        expected: 2 * TIMES,
        prepare: topics::match_wildcards,
    },
    Work {
        name: "retained-pages",
        about: "1,000 retained messages of 10,000 found by a wildcard, page by page",
        expected: TIMES,
        prepare: topics::retained_pages,
    },
    Work {
        name: "deliver-qos0",
        about: "one message to 1,000 sessions, QoS 0, and taken by their connections",
        expected: TIMES,
        prepare: deliver::fan_out,
    },
    Work {
        name: "deliver-qos1",
        about: "1,000 messages to one session, QoS 1, taken and acknowledged",
        expected: TIMES,
        prepare: deliver::acknowledged,
    },
    Work {
        name: "permit-100-rules",
        about: "1,000 PUBLISH packets judged by 100 rules",
        expected: TIMES,
        prepare: || judge::publish(100),
    },
    Work {
        name: "permit-1000-rules",
        about: "the same by 1,000 rules",
        expected: TIMES,
        prepare: || judge::publish(1_000),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_to_what_is_expected() {
        for work in ALL {
            let mut ready = (work.prepare)();
            assert_eq!(ready(), work.expected, "{}", work.name);
        }
    }
}
