//! The URL of a database.

use std::path::{Path, PathBuf};

use url::{Host, Url};

use crate::capability::tls::is_loopback;

/// What a URL names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// A server of PostgreSQL.
    Postgres(Server),
    /// A server of MariaDB or MySQL.
    MySql(Server),
    /// A file.
    Sqlite(PathBuf),
}

/// A server, and whom to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// Where.
    pub(super) at: At,
    /// User.
    pub(super) user: String,
    /// Database.
    pub(super) database: String,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// A name or an address, and a port.
    Host(String, u16),
    /// A Unix domain socket.
    Socket(PathBuf),
}

const POSTGRES_PORT: u16 = 5432;
const MYSQL_PORT: u16 = 3306;
const SCHEMES: [&str; 4] = ["postgres", "postgresql", "mysql", "mariadb"];
const FORM: &str = "allowed: postgres://USER@HOST[:PORT]/DATABASE, \
                    postgres://USER@/DATABASE?host=/FOLDER, mysql://USER@HOST[:PORT]/DATABASE, \
                    mysql://USER@/DATABASE?socket=/PATH, sqlite:PATH";

impl Address {
    /// The error is a sentence that does not show the URL.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            // sqlite:///var/db and sqlite:/var/db are the same to those who write them.
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path.starts_with('/') && !path.contains('\0') {
                true => Ok(Self::Sqlite(PathBuf::from(path))),
                false => Err("sqlite: needs the whole path of a file, from / on".to_owned()),
            };
        }
        // Not every parser takes an empty host behind a user.
        let local = SCHEMES.iter().find_map(|scheme| {
            let (user, rest) = text.strip_prefix(scheme)?.strip_prefix("://")?.split_once("@/")?;
            (!user.contains(['/', '@'])).then(|| format!("{scheme}://{user}@unix.invalid/{rest}"))
        });
        let url = Url::parse(local.as_deref().unwrap_or(text));
        let url = url.map_err(|error| format!("is no URL ({error}), {FORM}"))?;
        if !SCHEMES.contains(&url.scheme()) {
            return Err(format!("is of scheme {:?}, {FORM}", url.scheme()));
        }
        if url.password().is_some() {
            return Err("holds a password: it belongs into the key password".to_owned());
        }
        let decode = |text: &str| {
            let text = percent_encoding::percent_decode_str(text).decode_utf8();
            text.ok().filter(|text| !text.contains('\0')).map(|text| text.into_owned())
        };
        let user = decode(url.username()).filter(|user| !user.is_empty());
        let user = user.ok_or_else(|| format!("names no user, {FORM}"))?;
        let database = decode(url.path().trim_start_matches('/'));
        let database = database.filter(|name| !name.is_empty() && !name.contains('/'));
        let database = database.ok_or_else(|| format!("names no database, {FORM}"))?;
        let is_postgres = url.scheme().starts_with("postgres");
        let mut socket = None;
        for (name, value) in url.query_pairs() {
            match &*name {
                "host" if is_postgres && value.starts_with('/') => {
                    let port = url.port().unwrap_or(POSTGRES_PORT);
                    socket = Some(Path::new(&*value).join(format!(".s.PGSQL.{port}")));
                }
                "socket" if !is_postgres && value.starts_with('/') => {
                    socket = Some(PathBuf::from(value.as_ref()));
                }
                _ => return Err(format!("has the parameter {name:?}, {FORM}")),
            }
        }
        let port = url.port().unwrap_or(if is_postgres { POSTGRES_PORT } else { MYSQL_PORT });
        let at = match (socket, local, url.host()) {
            (Some(socket), Some(_), _) => At::Socket(socket),
            (None, None, Some(Host::Ipv6(address))) => At::Host(address.to_string(), port),
            (None, None, Some(host)) => At::Host(host.to_string(), port),
            _ => return Err(format!("names no host, {FORM}")),
        };
        let server = Server { at, user, database };
        Ok(if is_postgres { Self::Postgres(server) } else { Self::MySql(server) })
    }
}

impl Server {
    /// Whether what is sent stays on this machine.
    pub(super) fn is_here(&self) -> bool {
        match &self.at {
            At::Socket(_) => true,
            At::Host(host, _) => is_loopback(host),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn server(text: &str) -> Server {
        match Address::parse(text).unwrap() {
            Address::Postgres(server) | Address::MySql(server) => server,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn urls_of_servers_and_files() {
        let whole = server("postgres://u%40x@db.example:6000/a%20b");
        let at = At::Host("db.example".to_owned(), 6000);
        let (user, database) = ("u@x".to_owned(), "a b".to_owned());
        assert_eq!(whole, Server { at, user, database });
        let six = server("postgresql://u@[::1]/d");
        assert_eq!(six.at, At::Host("::1".to_owned(), 5432));
        assert!(six.is_here() && !whole.is_here());
        let local = server("postgres://u@/d?host=/run/postgresql");
        assert_eq!(local.at, At::Socket("/run/postgresql/.s.PGSQL.5432".into()));
        assert!(local.is_here());
        for scheme in ["mysql", "mariadb"] {
            let parsed = Address::parse(&format!("{scheme}://u@db.example/d")).unwrap();
            let Address::MySql(there) = parsed else { panic!("{parsed:?}") };
            assert_eq!(there.at, At::Host("db.example".to_owned(), 3306));
        }
        let local = server("mysql://u@/d?socket=/run/mysqld/mysqld.sock");
        assert_eq!(local.at, At::Socket("/run/mysqld/mysqld.sock".into()));
        for here in ["localhost", "127.0.0.2"] {
            assert!(server(&format!("postgres://u@{here}/d")).is_here(), "{here}");
        }
        for path in ["sqlite:/var/a.db", "sqlite:///var/a.db"] {
            assert_eq!(Address::parse(path).unwrap(), Address::Sqlite("/var/a.db".into()));
        }
    }

    #[test]
    fn what_is_no_url_of_a_database() {
        for (text, what) in [
            ("db", "is no URL"),
            ("oracle://u@h/d", "\"oracle\""),
            ("mysql://u@/d?host=/run/mysqld", "\"host\""),
            ("postgres://u@/d?socket=/run/s", "\"socket\""),
            ("mysql://u@h/d?socket=/run/s", "no host"),
            ("postgres://h/d", "no user"),
            ("postgres://u@h", "no database"),
            ("postgres://u@h/d/e", "no database"),
            ("postgres://u@/d", "no host"),
            ("postgres://u@h/d?sslmode=disable", "\"sslmode\""),
            ("sqlite:a.db", "whole path"),
            ("sqlite::memory:", "whole path"),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
        let error = Address::parse("postgres://u:sesame@h/d").unwrap_err();
        assert!(error.contains("key password") && !error.contains("sesame"), "{error}");
    }
}
