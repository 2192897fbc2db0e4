//! `[ldap.NAME]`: directories that plugins may be granted by name.

use plugin_host::{LdapSettings, LdapSource, Secret};

use super::{super::table::Table, connections, duration, into_bytes};

pub(super) fn read(table: &mut Table<'_>) -> Option<LdapSource> {
    let url = table.required("url", "such as \"ldaps://HOST\"");
    let dn = table.string("bind_dn");
    let password = table.secret("bind_password");
    let (has_dn, has_password) = (table.has("bind_dn"), table.has("bind_password"));
    if has_dn != has_password {
        let missing = if has_dn { "bind_password" } else { "bind_dn" };
        table.refuse_missing(missing, "bind_dn and bind_password need each other");
        return None;
    }
    let bind = match (dn, password) {
        (Some(dn), Some(it)) => Some((dn.value, Secret::new(into_bytes(it.value)))),
        // What is wrong with one of them was told.
        _ if has_dn => return None,
        _ => None,
    };
    let settings = LdapSettings {
        url: url?.value,
        starttls: table.boolean("starttls", true),
        allow_plain: table.boolean("allow_plain", false),
        ca: table.string("ca").map(|pem| pem.value),
        bind,
        connections: connections(table),
        connect_timeout: duration(table, "connect_timeout", 1_000),
        timeout: duration(table, "timeout", 1_000),
    };
    match LdapSource::new(settings) {
        Ok(source) => Some(source),
        Err(what) => {
            table.refuse_whole("url", &what);
            None
        }
    }
}
