//! What a listener speaks below MQTT and where: the keys `transport`, `bind` and those that belong to one transport, and
//! `[listeners.proxy_protocol]`. What TLS wants is read by `tls.rs`.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use server::{IpNet, ProxyProtocol, TlsConfig, Transport};

use super::{document::Located, listeners::read_address, table::Table, tls};

/// The words of `transport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tcp,
    Tls,
    WebSocket,
    WebSocketTls,
    Unix,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::WebSocket => "ws",
            Self::WebSocketTls => "wss",
            Self::Unix => "unix",
        }
    }

    fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::WebSocketTls)
    }
}

const ALL: [Kind; 5] = [Kind::Tcp, Kind::Tls, Kind::WebSocket, Kind::WebSocketTls, Kind::Unix];

const FRAMES: &[Kind] = &[Kind::WebSocket, Kind::WebSocketTls];

/// Path of WebSocket requests when nothing is said.
const PATH: &str = "/mqtt";
/// Longest path of WebSocket requests, in bytes.
const PATH_BYTES_MAX: usize = 1_024;
/// Mode of a socket file when nothing is said.
const MODE: u32 = 0o660;
/// Longest path of a socket file: the system has room for 108 with the NUL at the end.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Reads the transport of a listener with its place in the file. `folder` is where relative paths start.
pub(super) fn read(table: &Table<'_>, folder: &Path) -> Option<Located<Transport>> {
    let bind = table.required("bind", "each listener needs an address, e.g. 127.0.0.1:1883");
    let kind = read_kind(table);
    let path = read_path(table, kind);
    let origins = read_origins(table, kind);
    let mode = read_mode(table, kind);
    let bind = bind?;
    let address = |bind| read_address(table, "bind", bind).map(|address| address.value);
    let value = match kind.unwrap_or(Kind::Tcp) {
        Kind::Tcp | Kind::Tls => Transport::Tcp { bind: address(&bind)? },
        Kind::WebSocket | Kind::WebSocketTls => {
            Transport::WebSocket { bind: address(&bind)?, path: path?, origins }
        }
        Kind::Unix => Transport::Unix { path: socket_path(table, folder, &bind)?, mode: mode? },
    };
    Some(Located { value, span: bind.span })
}

fn socket_path(table: &Table<'_>, folder: &Path, bind: &Located<String>) -> Option<PathBuf> {
    let path = folder.join(&bind.value);
    let bytes = path.as_os_str().len();
    if bind.value.is_empty() || bind.value.ends_with('/') || bytes > SOCKET_PATH_BYTES_MAX {
        let what = format!(
            "is no place for a socket file, allowed: a path of at most {SOCKET_PATH_BYTES_MAX} \
             bytes counted from /; this one has {bytes}"
        );
        table.refuse("bind", &bind.span, what);
        return None;
    }
    Some(path)
}

/// `None` when it was at fault.
fn read_kind(table: &Table<'_>) -> Option<Kind> {
    let Some(transport) = table.string("transport") else {
        return Some(Kind::Tcp);
    };
    let found = ALL.into_iter().find(|kind| kind.name() == transport.value);
    if found.is_none() {
        let what = "is not known, allowed: tcp | tls | ws | wss | unix".to_owned();
        table.refuse("transport", &transport.span, what);
    }
    found
}

/// A key of one transport is a fault beside another.
fn belongs<T>(
    table: &Table<'_>,
    key: &str,
    found: &Located<T>,
    (kind, only): (Option<Kind>, &[Kind]),
) -> bool {
    if kind.is_none_or(|kind| only.contains(&kind)) {
        return true;
    }
    let names: Vec<_> = only.iter().map(|kind| format!("{:?}", kind.name())).collect();
    let names = names.join(" or ");
    let what = format!("means nothing here, allowed: only with transport = {names}");
    table.refuse(key, &found.span, what);
    false
}

fn read_path(table: &Table<'_>, kind: Option<Kind>) -> Option<String> {
    let Some(path) = table.string("path") else {
        return Some(PATH.to_owned());
    };
    if !belongs(table, "path", &path, (kind, FRAMES)) {
        return None;
    }
    let visible = |byte: u8| byte.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&byte);
    let length = path.value.len();
    if !path.value.starts_with('/') || length > PATH_BYTES_MAX || !path.value.bytes().all(visible) {
        let what = format!(
            "is not a path, allowed: / and up to {PATH_BYTES_MAX} ASCII characters of a URL, \
             without query"
        );
        table.refuse("path", &path.span, what);
        return None;
    }
    Some(path.value)
}

fn read_origins(table: &Table<'_>, kind: Option<Kind>) -> Option<Vec<String>> {
    let origins = table.strings("origins")?;
    for origin in &origins {
        if belongs(table, "origins", origin, (kind, FRAMES)) && !is_origin(&origin.value) {
            let what = "is not an origin, allowed: as browsers send it, SCHEME://HOST or \
                        SCHEME://HOST:PORT without the scheme's own port, such as \
                        https://app.example, or null";
            table.refuse("origins", &origin.span, what.to_owned());
        }
    }
    Some(origins.into_iter().map(|origin| origin.value).collect())
}

/// Whether a browser could send it.
fn is_origin(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text == "null";
    };
    let own_port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let visible = |byte: u8| byte.is_ascii_graphic() && !b"/?#@\\".contains(&byte);
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let has_own_port = !own_port.is_empty() && rest.ends_with(own_port);
    is_scheme && !rest.is_empty() && rest.bytes().all(visible) && !has_own_port
}

fn read_mode(table: &Table<'_>, kind: Option<Kind>) -> Option<u32> {
    let Some(mode) = table.string("mode") else {
        return Some(MODE);
    };
    if !belongs(table, "mode", &mode, (kind, &[Kind::Unix])) {
        return None;
    }
    let digits =
        mode.value.len() == 4 && mode.value.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let bits = u32::from_str_radix(&mode.value, 8).ok().filter(|bits| digits && *bits <= 0o777);
    if bits.is_none() {
        let what = "is not a mode, allowed: four octal digits in quotes, \"0000\" to \"0777\"";
        table.refuse("mode", &mode.span, what.to_owned());
    }
    bits
}

/// Reads `[listeners.tls]` where the transport wants it; `None` = it does not, or the table is at fault.
pub(super) fn read_tls(table: &mut Table<'_>, folder: &Path) -> Option<TlsConfig> {
    let kind = table.string("transport");
    let kind =
        kind.map_or(Some(Kind::Tcp), |word| ALL.into_iter().find(|kind| kind.name() == word.value));
    let encrypted = kind.is_some_and(Kind::is_encrypted);
    match table.optional_table("tls") {
        Some(tls) if encrypted || kind.is_none() => tls::read(tls, folder),
        Some(_) => {
            let what = "means nothing here, allowed: only with transport = \"tls\" or \"wss\"";
            table.refuse_missing("tls", what);
            None
        }
        None if encrypted => {
            table.refuse_missing("tls", "a table [listeners.tls] with cert and key is needed");
            None
        }
        None => None,
    }
}

/// Reads `[listeners.proxy_protocol]`; `None` = the table is not there, or at fault.
pub(super) fn read_proxy_protocol(table: Option<Table<'_>>) -> Option<ProxyProtocol> {
    let table = table?;
    let trusted = table.strings("trusted");
    let ranges = trusted.as_ref().map(|trusted| read_ranges(&table, "trusted", trusted));
    if trusted.is_none_or(|trusted| trusted.is_empty()) {
        let what = "the addresses of the load balancers are needed, at least one, e.g. \
                    trusted = [\"10.0.0.0/8\"]";
        table.refuse_missing("trusted", what);
    }
    table.finish();
    ranges.filter(|ranges| !ranges.is_empty()).map(|trusted| ProxyProtocol { trusted })
}

/// Ranges of addresses; what is none is a fault.
pub(super) fn read_ranges(table: &Table<'_>, key: &str, texts: &[Located<String>]) -> Vec<IpNet> {
    let read = |text: &Located<String>| {
        let range = read_range(&text.value);
        if range.is_none() {
            let what = "is not a range of addresses, allowed: ADDRESS or ADDRESS/BITS with \
                        nothing set behind the bits, such as 10.0.0.0/8 or fd00::/8";
            table.refuse(key, &text.span, what.to_owned());
        }
        range
    };
    texts.iter().filter_map(read).collect()
}

/// A whole range: with bits set behind the prefix it is more likely a mistake than a wish.
fn read_range(text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.into());
    }
    text.parse::<IpNet>().ok().filter(|range| range.trunc() == *range)
}
