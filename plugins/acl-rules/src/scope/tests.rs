//! What stands for nobody, and what stands for everybody.

use super::*;

fn holds(scope: &Scope, who: &Who<'_>, effect: Effect) -> bool {
    scope.holds(who, effect, |group| group == "mine")
}

#[test]
fn every_key_has_to_fit_and_any_of_its_names_does() {
    let who = Who { principal: "alice", client_id: "c", ..Who::default() };
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let scope = |users: &[&str], groups: &[&str], client_ids: &[&str]| Scope {
        users: list(users),
        groups: list(groups),
        client_ids: list(client_ids),
        ..Scope::default()
    };
    for (users, groups, client_ids, expected) in [
        (&[][..], &[][..], &[][..], true),
        (&["bob", "alice"], &["mine"], &["c"], true),
        (&["bob"], &["mine"], &["c"], false),
        (&["alice"], &["other"], &["c"], false),
        (&["alice"], &["other", "mine"], &["d"], false),
    ] {
        let scope = scope(users, groups, client_ids);
        assert_eq!(holds(&scope, &who, Effect::Allow), expected, "{scope:?}");
    }
}

/// An address that nobody can read keeps an allow rule from somebody, and no deny rule.
#[test]
fn an_unknown_address_is_in_no_block_that_allows_and_in_every_block_that_denies() {
    let scope = Scope { addresses: vec![Block::parse("10.0.0.0/8").unwrap()], ..Scope::default() };
    for (address, allowed, denied) in [
        ("10.0.0.1", true, true),
        ("192.0.2.1", false, false),
        ("", false, true),
        ("x", false, true),
    ] {
        let who = Who { remote_address: address, ..Who::default() };
        assert_eq!(holds(&scope, &who, Effect::Allow), allowed, "{address}");
        assert_eq!(holds(&scope, &who, Effect::Deny), denied, "{address}");
    }
}

#[test]
fn without_a_certificate_no_rule_about_certificates_holds() {
    let scope = Scope { certificate: Some(Box::default()), ..Scope::default() };
    assert!(!holds(&scope, &Who::default(), Effect::Allow));
    assert!(!holds(&scope, &Who::default(), Effect::Deny));
}

#[test]
fn of_attributes_with_one_name_the_first_counts() {
    let scope =
        Scope { attributes: vec![("a".to_owned(), vec!["2".to_owned()])], ..Scope::default() };
    let who = |attributes| Who { attributes, ..Who::default() };
    assert!(holds(&scope, &who(vec![("a", "2"), ("a", "1")]), Effect::Allow));
    assert!(!holds(&scope, &who(vec![("a", "1"), ("a", "2")]), Effect::Allow));
    assert!(!holds(&scope, &who(vec![]), Effect::Allow));
}

#[test]
fn fingerprints_are_written_in_full() {
    assert_eq!(hexadecimal(&[0, 0x0F, 0xA0]), "000fa0");
}
