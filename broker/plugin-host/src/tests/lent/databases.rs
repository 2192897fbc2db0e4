//! `sql` and `ldap` as a guest sees them. What real servers answer is in `tests/it/program`.

use std::time::Duration;

use super::{GRANTS, Lent};
use crate::{LdapSettings, LdapSource, SqlSettings, SqlSource};

/// A file that is not there.
pub(super) fn absent_database() -> SqlSource {
    let url = "sqlite:/nonexistent/users.db".to_owned();
    let second = Duration::from_secs(1);
    SqlSource::new(SqlSettings {
        url,
        password: None,
        tls: None,
        ca: None,
        connections: 1,
        connect_timeout: second,
        statement_timeout: second,
        read_only: true,
    })
    .unwrap()
}

/// A port on which nobody listens.
pub(super) fn absent_directory() -> LdapSource {
    let second = Duration::from_secs(1);
    LdapSource::new(LdapSettings {
        url: "ldap://127.0.0.1:1".to_owned(),
        starttls: false,
        allow_plain: false,
        ca: None,
        bind: None,
        connections: 1,
        connect_timeout: second,
        timeout: second,
    })
    .unwrap()
}

#[tokio::test]
async fn only_what_is_granted_is_asked() {
    let lent = Lent::with(GRANTS, None).await;
    lent.check("sql.query", "users\nSELECT 1", "Unavailable(").await;
    lent.check("sql.query", "others\nSELECT 1", "Denied(").await;
    lent.check("sql.execute", "others\nDELETE FROM t", "Denied(").await;
    lent.check("sql.execute", "users\nDELETE FROM t", "read-only").await;
    lent.check("ldap.bind", "corp\ncn=a\nsesame", "Unavailable(").await;
    lent.check("ldap.bind", "others\ncn=a\nsesame", "Denied(").await;
    lent.check("ldap.compare", "others\ncn=a\ncn\na", "Denied(").await;
    lent.check("ldap.search", "others\ndc=x\n(cn={})\na", "Denied(").await;
}

/// Everybody's question is asked a second time in shadow mode: nothing may be done twice.
#[tokio::test]
async fn a_candidate_in_shadow_mode_only_reads() {
    let lent = Lent::with(GRANTS, None).await.in_shadow(GRANTS).await;
    lent.check("sql.query", "users\n select 1", "Unavailable(").await;
    lent.check("sql.query", "users\nWITH x AS (SELECT 1) SELECT 1", "Denied(").await;
    lent.check("sql.query", "users\nINSERT INTO t VALUES (1) RETURNING 1", "Denied(").await;
    lent.check("sql.execute", "users\nSELECT 1", "Denied(").await;
    lent.check("http", "GET\nhttp://127.0.0.1:1/", "Denied(").await;
    lent.check("broker.publish", "plant/a/alarm\nx", "Denied(").await;
    lent.check("broker.disconnect", "c\n152", "Denied(").await;
}

#[tokio::test]
async fn what_needs_no_server_is_answered_without_one() {
    let lent = Lent::with(GRANTS, None).await;
    lent.check("ldap.bind", "corp\ncn=a\n", "ok: false").await;
    lent.check("ldap.bind", "corp\n\nsesame", "Malformed(").await;
    lent.check("ldap.search", "corp\ndc=x\n(cn={}\na", "Malformed(").await;
    lent.check("ldap.search", "corp\ndc=x\n(cn=a)\na", "Malformed(").await;
    lent.check("ldap.escape", " a,b=c+\"d\"#", r#"ok: "\\20a\\2cb\\3dc\\2b\\22d\\22#""#).await;
    lent.check("sql.query", "users\nSELECT ?", "Statement(").await;
    lent.check("sql.query", "users\nPRAGMA x", "Statement(").await;
}
