//! `[sql.NAME]`: databases that plugins may be granted by name.

use plugin_host::{SqlSettings, SqlSource};

use super::{super::table::Table, connections, duration, into_bytes};

/// The words of `tls`: where nothing is said, it depends on where the server is.
const TLS: [(&str, Option<bool>); 3] =
    [("auto", None), ("require", Some(true)), ("off", Some(false))];

pub(super) fn read(table: &mut Table<'_>) -> Option<SqlSource> {
    const FORMS: &str = "such as \"postgres://USER@HOST/DATABASE\", \
                         \"mysql://USER@HOST/DATABASE\" or \"sqlite:PATH\"";
    let url = table.required("url", FORMS);
    let password = table.secret("password");
    let settings = SqlSettings {
        url: url?.value,
        password: password.map(|it| plugin_host::Secret::new(into_bytes(it.value))),
        tls: table.choice("tls", &TLS, None),
        ca: table.string("ca").map(|pem| pem.value),
        connections: connections(table),
        connect_timeout: duration(table, "connect_timeout", 1_000),
        statement_timeout: duration(table, "statement_timeout", 1_000),
        read_only: table.boolean("read_only", true),
    };
    match SqlSource::new(settings) {
        Ok(source) => Some(source),
        Err(what) => {
            // The address is no secret, but somebody may have put a password into it.
            table.refuse_whole("url", &what);
            None
        }
    }
}
