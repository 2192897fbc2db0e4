//! Filters of guests with values in them, and entries of directories: text in, text out.

use ldap3::asn1::{PL, StructureTag};

use crate::bindings::portcullis::plugin::ldap::Entry;

/// Nesting of a filter: those who parse it do so by recursion.
const DEPTH_MAX: usize = 16;

/// `filter` with the values, escaped, in the place of each `{}`. The error is a sentence.
pub(super) fn fill(filter: &str, values: &[String]) -> Result<String, String> {
    let mut parts = filter.split("{}");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    let (mut places, mut values) = (0, values.iter());
    let given = values.len();
    for part in parts {
        places += 1;
        let value = values.next().map(String::as_str).unwrap_or_default();
        filled.push_str(&ldap3::ldap_escape(value));
        filled.push_str(part);
    }
    if places != given {
        return Err(format!("the filter has {places} {{}} and {given} values"));
    }
    let mut depth = 0_usize;
    for (at, c) in filled.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(format!("the filter nests over {DEPTH_MAX} deep, at byte {at}"));
        }
    }
    match ldap3::parse_filter(&filled) {
        Ok(_) => Ok(filled),
        Err(()) => Err(format!("{filter:?} is no filter, as in (&(objectClass=person)(uid={{}}))")),
    }
}

/// `None` = it has another form than the protocol says.
pub(super) fn entry(tag: StructureTag) -> Option<Entry> {
    let mut parts = constructed(tag)?.into_iter();
    let dn = text(parts.next()?)?;
    let attributes = constructed(parts.next()?)?.into_iter().map(|attribute| {
        let mut parts = constructed(attribute)?.into_iter();
        let name = text(parts.next()?)?;
        let values = constructed(parts.next()?)?.into_iter().map(primitive);
        Some((name, values.collect::<Option<Vec<_>>>()?))
    });
    Some(Entry { dn, attributes: attributes.collect::<Option<Vec<_>>>()? })
}

fn constructed(tag: StructureTag) -> Option<Vec<StructureTag>> {
    match tag.payload {
        PL::C(parts) => Some(parts),
        PL::P(_) => None,
    }
}

fn primitive(tag: StructureTag) -> Option<Vec<u8>> {
    match tag.payload {
        PL::P(bytes) => Some(bytes),
        PL::C(_) => None,
    }
}

fn text(tag: StructureTag) -> Option<String> {
    String::from_utf8(primitive(tag)?).ok()
}

#[cfg(test)]
mod tests {
    use ldap3::asn1::TagClass;

    use super::*;

    #[track_caller]
    fn check(filter: &str, values: &[&str], expected: Result<&str, &str>) {
        let values: Vec<_> = values.iter().map(|&value| value.to_owned()).collect();
        match (fill(filter, &values), expected) {
            (Ok(told), Ok(expected)) => assert_eq!(told, expected),
            (Err(told), Err(expected)) => assert!(told.contains(expected), "{told}"),
            (told, _) => panic!("{filter}: {told:?}"),
        }
    }

    #[test]
    fn values_stay_values() {
        check("(uid={})", &["alice"], Ok("(uid=alice)"));
        check("(uid={})", &["*)(uid=*"], Ok("(uid=\\2a\\29\\28uid=\\2a)"));
        check("(uid={})", &["a\\b\0"], Ok("(uid=a\\5cb\\00)"));
        check("(|(uid={})(mail={}))", &["{}", "ä"], Ok("(|(uid={})(mail=ä))"));
        check("(objectClass=*)", &[], Ok("(objectClass=*)"));
        check("(uid={})", &[], Err("1 {} and 0 values"));
        check("(uid=a)", &["b"], Err("0 {} and 1 values"));
        check("(uid={}", &["a"], Err("is no filter"));
        check("(uid={})(a=b)", &["a"], Err("is no filter"));
        check("", &[], Err("is no filter"));
        let nested = |depth| format!("{}(a=b){}", "(!".repeat(depth), ")".repeat(depth));
        check(&nested(15), &[], Ok(&nested(15)));
        check(&nested(16), &[], Err("nests over 16 deep"));
        check(&nested(100_000), &[], Err("nests over 16 deep"));
    }

    #[test]
    fn entries_have_their_form_or_are_none() {
        let tag = |payload| StructureTag { class: TagClass::Universal, id: 4, payload };
        let octets = |text: &str| tag(PL::P(text.as_bytes().to_vec()));
        let attribute = |values| tag(PL::C(vec![octets("cn"), values]));
        let made = |attribute| entry(tag(PL::C(vec![octets("cn=a"), tag(PL::C(vec![attribute]))])));
        let read = made(attribute(tag(PL::C(vec![octets("a"), octets("b")])))).unwrap();
        assert_eq!(read.dn, "cn=a");
        assert_eq!(read.attributes, [("cn".to_owned(), vec![b"a".to_vec(), b"b".to_vec()])]);
        assert!(made(attribute(octets("a"))).is_none());
        assert!(made(octets("cn")).is_none());
        assert!(entry(octets("cn=a")).is_none());
        assert!(entry(tag(PL::C(vec![octets("cn=a")]))).is_none());
    }
}
