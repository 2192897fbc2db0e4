//! Entries that are somebody, and such that are not.

use super::*;

fn entry(attributes: &[(&str, &[&[u8]])]) -> Entry {
    let values = |values: &&[&[u8]]| values.iter().map(|value| value.to_vec()).collect();
    let attributes = attributes.iter().map(|(name, it)| ((*name).to_owned(), values(it)));
    Entry { dn: "uid=alice,dc=example".to_owned(), attributes: attributes.collect() }
}

fn settings() -> Settings {
    let json = r#"{"source":"corp","base":"dc=example","filter":"(uid={user})",
        "groups":{"member_of":"memberOf","base":"ou=groups,dc=example"}}"#;
    serde_json::from_str::<crate::settings::Written>(json).unwrap().try_into().unwrap()
}

fn groups(values: &[&[u8]]) -> Result<Vec<String>, Error> {
    let found = entry(&[("UID", &[b"alice"]), ("MEMBEROF", values)]);
    let account = Account::read(found, &settings()).map_err(Error::unavailable)?;
    account.groups_within(&DistinguishedName::parse("ou=groups,dc=example").unwrap())
}

#[test]
fn who_is_somebody() {
    let account = Account::read(entry(&[("uid", &[b"alice"])]), &settings()).unwrap();
    assert_eq!((&*account.dn, &*account.principal), ("uid=alice,dc=example", "alice"));
    let two: &[&[u8]] = &[b"alice", b"root"];
    for (values, why) in [
        (&[][..], "has 0 values of uid"),
        (two, "has 2 values of uid"),
        (&[&b""[..]][..], "is empty"),
        (&[&b"a\0b"[..]][..], "has a control"),
        (&[&b"\xff"[..]][..], "is not UTF-8"),
    ] {
        let error = Account::read(entry(&[("uid", values)]), &settings()).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn names_that_nobody_has() {
    assert!(is_name("alice") && is_name("Zoë d'Á") && is_name(&"x".repeat(256)));
    for name in ["", "a\0", "a\nb", "\u{7f}", "\u{85}", &"x".repeat(257)] {
        assert!(!is_name(name), "{name:?}");
    }
}

#[test]
fn groups_count_where_they_should_lie() {
    let found = groups(&[
        b"cn=ops,ou=groups,dc=example",
        b"CN=Two Words,OU=Groups,DC=Example",
        b"cn=admins,ou=elsewhere,dc=example",
        b"cn=x\\,ou=groups\\,dc=example,dc=org",
    ]);
    assert_eq!(found.unwrap(), ["ops", "Two Words"]);
    for (value, why) in [
        (&b"ops"[..], "without ="),
        (b"cn=a\\00b,ou=groups,dc=example", "no name that can be used"),
        (b"\xff", "not UTF-8"),
    ] {
        let error = format!("{:?}", groups(&[value]).unwrap_err());
        assert!(error.contains(why), "{error}");
    }
    let many: Vec<_> = (0..1_001).map(|it| format!("cn={it},ou=groups,dc=example")).collect();
    let many: Vec<_> = many.iter().map(|it| it.as_bytes()).collect();
    assert!(groups(&many).is_err());
}

/// Active Directory's way to send a long list.
#[test]
fn a_list_in_parts_is_no_list() {
    let found = entry(&[("uid", &[b"alice"]), ("memberOf", &[]), ("memberOf;range=0-1499", &[])]);
    assert!(Account::read(found, &settings()).unwrap_err().contains("comes in parts"));
}

#[test]
fn a_group_without_a_name_is_a_failure() {
    assert_eq!(
        names_of_groups(vec![entry(&[("cn", &[b"ops", b"staff"])])], "cn").unwrap().len(),
        2
    );
    assert!(names_of_groups(vec![entry(&[])], "cn").is_err());
    assert!(names_of_groups(vec![entry(&[("cn", &[b""])])], "cn").is_err());
}
