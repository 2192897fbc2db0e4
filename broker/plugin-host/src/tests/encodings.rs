//! Guests that keep their texts in UTF-16 or in Latin-1: the transcoding is where wasmtime was
//! wrong most often, so honest and lying guests go through all of it.

use access::{Authenticator, PluginFailureKind};
use wit_component::StringEncoding;

use super::{
    calls::{allowed_as, authenticate, build, connection, credentials},
    guest::Guest,
};
use crate::hooks::Hook;

const LATIN1: StringEncoding = StringEncoding::CompactUTF16;

/// Marks a length of the encoding "Latin-1 or UTF-16" as one of UTF-16.
const UTF16_TAG: u32 = 1 << 31;

#[tokio::test]
async fn texts_arrive_in_every_encoding() {
    for encoding in [StringEncoding::UTF16, LATIN1] {
        let generation = build(&Guest::allow_as("alice").encoding(encoding)).await;
        assert_eq!(generation.described, ("alice".to_owned(), "nope".to_owned()));
        for username in ["", "alice", "\u{e4}\u{ff}", "\u{436}\u{1f41e}", "a\u{436}\u{e4}"] {
            let mut connection = connection();
            connection.username = Some(username.repeat(1_000));
            let hook = Hook(generation.clone());
            let outcome = hook.authenticate(&connection, &credentials()).await.unwrap();
            assert_eq!(allowed_as(&outcome), Some("alice"), "{username}");
        }
        assert_eq!(generation.idle(), 1);
    }
}

/// The principal that `pointer` and `length` name must be refused, twice.
async fn refused(encoding: StringEncoding, (pointer, length): (u32, u32), first: u32) {
    let lie = format!(
        "(i32.store (i32.const 8192) (i32.const {first}))
         (i32.store (i32.const 1044) (i32.const {pointer}))
         (i32.store (i32.const 1048) (i32.const {length}))"
    );
    let generation = build(&Guest::allow().encoding(encoding).authenticate(&lie)).await;
    for _ in 0..2 {
        let failure = authenticate(&generation).await.unwrap_err();
        let stopped = [PluginFailureKind::Trap, PluginFailureKind::TooLarge];
        assert!(stopped.contains(&failure.kind), "{pointer} {length:#x}: {failure}");
        assert_eq!(generation.idle(), 0, "an instance is lost after a lie");
    }
}

#[tokio::test]
async fn lies_in_utf16() {
    let encoding = StringEncoding::UTF16;
    for length in [100_000_000, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
        refused(encoding, (0, length), 0).await;
    }
    refused(encoding, (131_070, 2), 0).await;
    refused(encoding, (0xffff_fffe, 2), 0).await;
    refused(encoding, (8_193, 1), 0).await;
    // Halves of a pair: the first one alone, the second one alone, two first ones.
    refused(encoding, (8_192, 1), 0xd800).await;
    refused(encoding, (8_192, 1), 0xdc00).await;
    refused(encoding, (8_192, 2), 0xd800_d800).await;
}

#[tokio::test]
async fn lies_in_latin1() {
    for length in [100_000_000, 0x7fff_ffff] {
        refused(LATIN1, (0, length), 0).await;
    }
    refused(LATIN1, (131_071, 2), 0).await;
    for length in [100_000_000, 0x4000_0000, 0x7fff_ffff] {
        refused(LATIN1, (0, UTF16_TAG | length), 0).await;
    }
    refused(LATIN1, (131_070, UTF16_TAG | 2), 0).await;
    refused(LATIN1, (8_193, UTF16_TAG | 1), 0).await;
    refused(LATIN1, (8_192, UTF16_TAG | 1), 0xd800).await;
    refused(LATIN1, (8_192, UTF16_TAG | 2), 0xd800_d800).await;
}

#[tokio::test]
async fn memory_for_arguments_that_is_none() {
    for encoding in [StringEncoding::UTF16, LATIN1] {
        for pointer in [0xffff_fff0_u32, 131_070, 8_193] {
            let guest = Guest::allow().encoding(encoding);
            let generation = build(&guest.realloc(&format!("(i32.const {pointer})"))).await;
            let failure = authenticate(&generation).await.unwrap_err();
            assert_eq!(failure.kind, PluginFailureKind::Trap, "{failure}");
        }
    }
}
