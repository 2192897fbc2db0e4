//! Who stands in the directory of these tests, as LDIF.

use std::fmt::Write;

/// An operator.
pub(super) const ANN: (&str, &str) = ("ann", "ann's own");
/// A meter.
pub(super) const METER: (&str, &str) = ("meter-7", "meter's own");

/// Operators, with the password `strange`, whose names have characters that mean something in filters and
/// names.
pub(super) const STRANGE: [&str; 5] = ["st*r", "a(b)c", "back\\slash", "smith, j+r", "Zoë"];

/// Their entries in the same order: name as it is written there (base64 beyond ASCII), and the uid.
const ENTRIES: [(&str, &str); 5] = [
    (": uid=st*r,ou=people,dc=example", ": st*r"),
    (": uid=a(b)c,ou=people,dc=example", ": a(b)c"),
    (": uid=back\\5Cslash,ou=people,dc=example", ": back\\slash"),
    (": uid=smith\\, j\\+r,ou=people,dc=example", ": smith, j+r"),
    (":: dWlkPVpvw6ssb3U9cGVvcGxlLGRjPWV4YW1wbGU=", ":: Wm/Dqw=="),
];

const FIXED: &str = "\
dn: dc=example
objectClass: domain
dc: example

dn: cn=broker,dc=example
objectClass: person
cn: broker
sn: broker
userPassword: hush-hush-directory

dn: ou=people,dc=example
objectClass: organizationalUnit
ou: people

dn: ou=more,ou=people,dc=example
objectClass: organizationalUnit
ou: more

dn: ou=groups,dc=example
objectClass: organizationalUnit
ou: groups

dn: ou=elsewhere,dc=example
objectClass: organizationalUnit
ou: elsewhere
";

pub(super) const ANN_IS_NO_OPERATOR: &str = "\
dn: cn=Operators,ou=groups,dc=example
changetype: modify
delete: member
member: uid=ann,ou=people,dc=example
";

pub(super) const ANN_IS_GONE: &str = "\
dn: uid=ann,ou=people,dc=example
changetype: delete
";

fn person(ldif: &mut String, dn: &str, uid: &str, password: &str, more: &str) {
    let entry = write!(
        ldif,
        "\ndn{dn}\nobjectClass: inetOrgPerson\nuid{uid}\ncn: x\nsn: x\n\
         userPassword: {password}\n{more}"
    );
    entry.expect("text grows");
}

/// All of it.
pub(super) fn entries() -> String {
    let mut ldif = FIXED.to_owned();
    let mut of_people = |uid: &str, password: &str, more: &str| {
        let dn = format!(": uid={uid},ou=people,dc=example");
        person(&mut ldif, &dn, &format!(": {uid}"), password, more);
    };
    of_people(ANN.0, ANN.1, "memberOf: cn=Operators,ou=groups,dc=example\n");
    of_people(METER.0, METER.1, "memberOf: cn=meters,ou=groups,dc=example\n");
    of_people("bea", "bea's own", "memberOf: cn=operators,ou=elsewhere,dc=example\n");
    of_people("decoy", "decoy's own", "");
    of_people("twin", "twin", "");
    let dn = ": uid=twin,ou=more,ou=people,dc=example";
    person(&mut ldif, dn, ": twin", "twin", "");
    for (dn, uid) in ENTRIES {
        person(&mut ldif, dn, uid, "strange", "");
    }
    ldif.push_str("\ndn: cn=Operators,ou=groups,dc=example\nobjectClass: groupOfNames\n");
    ldif.push_str("cn: Operators\nmember: uid=ann,ou=people,dc=example\n");
    for (dn, _) in ENTRIES {
        ldif.push_str(&format!("member{dn}\n"));
    }
    for (name, place, member) in [("meters", "groups", METER.0), ("operators", "elsewhere", "bea")]
    {
        ldif.push_str(&format!(
            "\ndn: cn={name},ou={place},dc=example\nobjectClass: groupOfNames\ncn: {name}\n\
             member: uid={member},ou=people,dc=example\n"
        ));
    }
    ldif
}
