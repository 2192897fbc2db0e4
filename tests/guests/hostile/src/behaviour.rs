//! The ways of doing harm. Each says what a host that does its work answers to it.

use std::{cell::RefCell, hint::black_box};

use portcullis_plugin::{
    Activity, Answer, Denial, Error, Grant, Outcome, Rule,
    host::{self, crypto, files, log},
    reason_code,
};
use serde::Deserialize;

/// One way, by its name in `[config]`.
#[derive(Debug, Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Behaviour {
    /// Nothing: the control, which must pass.
    None,
    /// Computes without end: stopped by the CPU budget.
    Loop,
    /// Computes for `milliseconds` of the host's clock, which it asks without end.
    Slow,
    /// Panics with the text "hostile panic": a trap, and the text in the log.
    Panic,
    /// Runs the instruction `unreachable`: a trap.
    Unreachable,
    /// Says that it failed: an error, which is a refusal.
    Fail,
    /// Asks for 4 GiB by `memory.grow` and touches what it got. If that is less than `bytes`, it
    /// answers with a denial 0x97, else with an allow.
    Grow,
    /// Allocates and touches `bytes`: a trap where they are above the memory limit.
    Allocate,
    /// Keeps 64 KiB more with each call.
    Leak,
    /// Recurses without end: a trap.
    Recurse,
    /// Returns a principal of `bytes`: refused.
    LongPrincipal,
    /// Returns `bytes` / 8 empty groups (permissions: rules): refused.
    LongList,
    /// Returns a principal with a NUL and a line end in it: refused.
    BadPrincipal,
    /// Denies with Reason Code 0x00: a refusal all the same.
    LowReasonCode,
    /// Returns a rule whose filter is no filter: refused.
    BadFilter,
    /// Returns a time to live of 0: bounded by the host.
    ZeroTtl,
    /// Logs without end, 1 KiB a line.
    LogFlood,
    /// Logs one line of `bytes`.
    LogLong,
    /// Asks for random bytes without end.
    RandomFlood,
    /// Asks for 1 MiB of random bytes at once, more than the contract allows: a trap.
    RandomLong,
    /// Reads the file `data` without end.
    FileFlood,
    /// Reads 4 GiB of the file `data` at once: an error of the host's function.
    FileLong,
    /// Looks up lines of the file `data` without end.
    LookupFlood,
    /// Verifies passwords without end.
    VerifyFlood,
    /// Hashes 1 MiB without end.
    HashFlood,
}

impl Behaviour {
    /// Does it. What it returns goes to the host in the place of an allow.
    pub(crate) fn run(self, bytes: usize, milliseconds: u64) -> Result<Option<Outcome>, Error> {
        match self {
            Self::None | Self::BadFilter | Self::ZeroTtl => {}
            Self::Loop => forever(|| {}),
            Self::Slow => wait(milliseconds),
            Self::Panic => hostile_panic(),
            Self::Unreachable => unreachable(),
            Self::Fail => return Err(Error::internal("hostile failure")),
            Self::Grow => return Ok(grow(bytes)),
            Self::Allocate => touch(&mut vec![0; bytes]),
            Self::Leak => leak(),
            Self::Recurse => drop(black_box(recurse(1))),
            Self::LongPrincipal => return Ok(Some(Outcome::allow("x".repeat(bytes)))),
            Self::LongList => return Ok(Some(many_groups(bytes / 8))),
            Self::BadPrincipal => return Ok(Some(Outcome::allow("ali\0ce\nbob"))),
            Self::LowReasonCode => {
                return Ok(Some(Outcome::Deny(Denial { reason_code: 0, reason: None })));
            }
            Self::LogFlood => forever(|| log::info(&"x".repeat(1_024))),
            Self::LogLong => log::info(&"x".repeat(bytes)),
            Self::RandomFlood => forever(|| drop(black_box(host::random::bytes(4_096)))),
            Self::RandomLong => random_long(),
            Self::FileFlood => forever(|| drop(black_box(files::read("data", 0, 1 << 20)))),
            Self::FileLong => drop(files::read("data", 0, u32::MAX)?),
            Self::LookupFlood => forever(|| drop(black_box(files::lookup("data", ':', "x")))),
            Self::VerifyFlood => forever(|| drop(black_box(crypto::verify_password(HASH, b"x")))),
            Self::HashFlood => {
                let data = vec![0; 1 << 20];
                forever(|| drop(black_box(crypto::sha256(&data))));
            }
        }
        Ok(None)
    }

    /// What the authorizer answers after an attack that came back.
    pub(crate) fn answer(self) -> Answer {
        let all = Activity::PUBLISH | Activity::SUBSCRIBE;
        match self {
            Self::BadFilter => Answer::rules(vec![Rule::allow(all, "a/#/b")]),
            Self::LongList => Answer::rules(vec![Rule::allow(all, "#"); 20_000]),
            Self::ZeroTtl => {
                let mut answer = Answer::rules(vec![Rule::allow(all, "#")]);
                if let Answer::Permissions(set) = &mut answer {
                    set.ttl_seconds = Some(0);
                }
                answer
            }
            _ => Answer::rules(vec![Rule::allow(all, "#")]),
        }
    }
}

fn forever(mut work: impl FnMut()) {
    let mut round = 0_u64;
    loop {
        work();
        round = black_box(round.wrapping_add(1));
    }
}

fn wait(milliseconds: u64) {
    let start = host::clock::monotonic();
    while host::clock::monotonic().saturating_sub(start).as_millis() < u128::from(milliseconds) {}
}

#[expect(clippy::panic, reason = "this is the harm")]
fn hostile_panic() {
    panic!("hostile panic");
}

fn unreachable() {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
}

/// The denial is the good end: the host refused, and the guest lives on.
fn grow(bytes: usize) -> Option<Outcome> {
    #[cfg(target_arch = "wasm32")]
    {
        use core::arch::wasm32::{memory_grow, memory_size};

        // All that 32 bits can address, then page by page what is left.
        for pages in [PAGES_MAX - memory_size::<0>(), 1] {
            let mut page = memory_grow::<0>(pages);
            while page != usize::MAX {
                for page in page..page + pages {
                    soil(page);
                }
                page = memory_grow::<0>(pages);
            }
        }
        if memory_size::<0>() * 65_536 >= bytes {
            return None;
        }
    }
    let _ = bytes;
    Some(Outcome::deny(reason_code::QUOTA_EXCEEDED, "memory.grow was refused"))
}

/// Makes a page that was just grown cost real memory.
#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "no allocator knows of these pages")]
fn soil(page: usize) {
    // SAFETY: the page exists, and nobody else uses it, because `memory.grow` returned it to this
    // function.
    unsafe { core::ptr::write_volatile((page * 65_536) as *mut u8, 1) };
}

fn touch(memory: &mut [u8]) {
    for page in memory.chunks_mut(4_096) {
        page.fill(black_box(1));
    }
    black_box(memory);
}

fn leak() {
    thread_local! {
        static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    }
    let mut block = vec![0; 65_536];
    touch(&mut block);
    KEPT.with_borrow_mut(|kept| kept.push(block));
}

/// Not a tail call: the sum needs the frame.
#[expect(unconditional_recursion, reason = "this is the harm")]
fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth + 1))) + depth
}

fn many_groups(count: usize) -> Outcome {
    Grant { groups: vec![String::new(); count], ..Grant::new("hostile") }.into()
}

/// Past the SDK, which would ask in parts.
fn random_long() {
    drop(portcullis_plugin::bindings::portcullis::plugin::random::bytes(1 << 20));
}

#[cfg(target_arch = "wasm32")]
const PAGES_MAX: usize = 65_536;
/// mosquitto's format with the iterations that it uses itself; the password is not `x`.
const HASH: &str = "$7$101$c2FsdHNhbHRzYWx0$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";
