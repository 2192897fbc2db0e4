//! What `[config]` may say, and what is wrong with it.

use super::*;

fn read(more: &str) -> Result<Settings, String> {
    let json = format!(
        r#"{{"source":"corp","base":"ou=people,dc=example","filter":"(uid={{user}})"{more}}}"#
    );
    let written: Written = serde_json::from_str(&json).map_err(|error| error.to_string())?;
    Settings::try_from(written).map_err(|error| match error {
        Error::Misconfigured(text) => text,
        other => panic!("{other:?}"),
    })
}

#[test]
fn the_shortest_configuration() {
    let settings = read("").unwrap();
    assert_eq!(settings.method, Method::Bind);
    assert_eq!((settings.user, settings.unknown_user), (UserFrom::Username, UnknownUser::Deny));
    assert_eq!((&*settings.principal, settings.is_exact), ("uid", true));
    assert_eq!(settings.decoy, "cn=portcullis-decoy,ou=people,dc=example");
    assert_eq!((settings.scope, settings.ttl_seconds), (Scope::Subtree, 60));
    assert!(settings.groups.is_none() && settings.permissions.is_empty());
}

#[test]
fn groups_stand_in_two_places() {
    let settings = read(r#","groups":{"member_of":"memberOf","base":"ou=groups,dc=x"}"#).unwrap();
    assert!(matches!(settings.groups, Some(Groups::MemberOf { .. })));
    let settings = read(r#","groups":{"filter":"(member={dn})","base":"dc=x","scope":"one"}"#);
    let Ok(Some(Groups::Search { scope, name, .. })) = settings.map(|it| it.groups) else {
        panic!("no search")
    };
    assert_eq!((scope, &*name), (Scope::One, "cn"));
}

#[test]
fn what_is_refused() {
    let rule = r#"[{"allow":"all","topic":"a/#"}]"#;
    for (more, why) in [
        (r#","sources":"x""#.to_owned(), "unknown field `sources`"),
        (r#","scope":"all""#.to_owned(), "unknown variant `all`"),
        (r#","principal":"uid;x""#.to_owned(), "principal: \"uid;x\" is no attribute"),
        (r#","password_attribute":"pw""#.to_owned(), "goes with method = \"compare\""),
        (r#","decoy":"nobody""#.to_owned(), "decoy: \"nobody\" has a part without ="),
        (r#","ttl_seconds":0"#.to_owned(), "ttl_seconds: 0; allowed: 1 to 3600"),
        (r#","ttl_seconds":3601"#.to_owned(), "ttl_seconds: 3601"),
        (r#","method":"lookup""#.to_owned(), "does nothing without them"),
        (r#","method":"lookup","user":"username""#.to_owned(), "go with a password"),
        (r#","method":"lookup","exact":false"#.to_owned(), "to the letter only"),
        (r#","groups":{"base":"dc=x"}"#.to_owned(), "either member_of or filter"),
        (r#","groups":{"filter":"(a=b)","base":"dc=x"}"#.to_owned(), "has no {dn} or {user}"),
        (r#","groups":{"member_of":"m","base":""}"#.to_owned(), "groups.base: is empty"),
        (r#","groups":{"member_of":"m","base":"dc=x","name":"cn"}"#.to_owned(), "go with groups.f"),
        (format!(r#","permissions":[{{"group":"a","rules":{rule}}}]"#), "without [config.groups]"),
        (r#","permissions":[{"rules":[]}]"#.to_owned(), "has no rules"),
        (r#","permissions":[{"rule":[]}]"#.to_owned(), "unknown field `rule`"),
        (r#","permissions":[{"rules":[{"topic":"a"}]}]"#.to_owned(), "either `allow` or `deny`"),
    ] {
        let error = read(&more).expect_err(&more);
        assert!(error.contains(why), "{more}: {error}");
    }
    let no_user = r#"{"source":"corp","base":"dc=x","filter":"(uid=*)"}"#;
    let error = Settings::try_from(serde_json::from_str::<Written>(no_user).unwrap());
    assert!(matches!(error, Err(Error::Misconfigured(text)) if text.contains("has no {user}")));
}
