//! What `[config]` may say, and what is wrong with it.

use super::*;

fn read(json: &str) -> Result<Settings, String> {
    let written: Written = serde_json::from_str(json).map_err(|error| error.to_string())?;
    Settings::try_from(written).map_err(|error| format!("{error:?}"))
}

#[test]
fn nothing_names_nobody_and_leaves_everything() {
    let settings = read("{}").unwrap();
    assert!(settings.principal.is_none() && settings.client_id.is_none());
    assert_eq!(
        (settings.no_certificate, settings.other_issuer),
        (Otherwise::Next, Otherwise::Deny)
    );
}

#[test]
fn what_is_refused() {
    for (json, why) in [
        (r#"{"principle":"cn"}"#, "unknown field `principle`"),
        (r#"{"principal":"name"}"#, "principal: "),
        (r#"{"principal":"issuer"}"#, "the same for many clients"),
        (r#"{"principal":"issuer.cn"}"#, "the same for many clients"),
        (r#"{"prefix":"x"}"#, "are of the principal"),
        (r#"{"client_id":"principal"}"#, "there is no principal"),
        (r#"{"client_id":"name"}"#, "client_id: "),
        (r#"{"no_certificate":"allow"}"#, "unknown variant `allow`"),
        (r#"{"other_issuer":"deny"}"#, "goes with issuers"),
        (r#"{"issuers":["acme"]}"#, "issuers: "),
        (r#"{"groups":["ou"]}"#, "groups: "),
        (r#"{"attributes":{"a":"b"}}"#, "attributes: "),
        (r#"{"permissions":[{"rules":[]}]}"#, "has no rules"),
        (
            r#"{"permissions":[{"where":{"ou":"a"},"rules":[{"allow":"all","topic":"a"}]}]}"#,
            "where",
        ),
        (
            r#"{"permissions":[{"where":{"cn":[]},"rules":[{"allow":"all","topic":"a"}]}]}"#,
            "values",
        ),
        (
            r#"{"permissions":[{"if":{},"rules":[{"allow":"all","topic":"a"}]}]}"#,
            "unknown field `if`",
        ),
    ] {
        let error = read(json).expect_err(json);
        assert!(error.contains(why), "{json}: {error}");
    }
}
