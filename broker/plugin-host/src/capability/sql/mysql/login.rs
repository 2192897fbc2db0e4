//! From nothing to a connection that may be asked: socket, TLS, authentication.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use zeroize::Zeroizing;

use super::{fields::Fields, wire::Wire};
use crate::capability::sql::{
    address::At,
    remote::{Failed, Target},
};

const LONG_PASSWORD: u32 = 1;
/// Rows that a change found, not only those that it made different.
const FOUND_ROWS: u32 = 1 << 1;
const CONNECT_WITH_DATABASE: u32 = 1 << 3;
const PROTOCOL_41: u32 = 1 << 9;
const TLS: u32 = 1 << 11;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE_CONNECTION: u32 = 1 << 15;
const PLUGIN_AUTH: u32 = 1 << 19;
/// Not among them, for good: files of ours (`LOCAL INFILE`), several statements, several results.
const WANTED: u32 = LONG_PASSWORD
    | FOUND_ROWS
    | CONNECT_WITH_DATABASE
    | PROTOCOL_41
    | TRANSACTIONS
    | SECURE_CONNECTION
    | PLUGIN_AUTH;
/// utf8mb4 in its oldest order, which all versions have.
const UTF8: u8 = 45;
/// What we would send at most: a statement with its parameters.
const PACKET_BYTES: u32 = 16 << 20;

const NATIVE: &[u8] = b"mysql_native_password";
const CACHING_SHA2: &[u8] = b"caching_sha2_password";

pub(super) async fn connect(target: &Target) -> Result<Wire, Failed> {
    let mut wire = Wire::new(target.open().await?);
    let greeting = Greeting::read(&mut wire).await?;
    let encrypted = if target.tls.is_some() { TLS } else { 0 };
    let missing = (WANTED | encrypted) & !greeting.capabilities;
    if missing & TLS != 0 {
        return Err(Failed::Broken("the server has no TLS, which is required".to_owned()));
    } else if missing & (PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH) != 0 {
        return Err(Failed::Broken("the server is too old".to_owned()));
    }
    let mut response = Vec::new();
    response.extend_from_slice(&(WANTED | encrypted).to_le_bytes());
    response.extend_from_slice(&PACKET_BYTES.to_le_bytes());
    response.push(UTF8);
    response.extend_from_slice(&[0; 23]);
    if let Some(tls) = &target.tls {
        wire.send(&response).await?;
        let (transport, sequence) = wire.into_transport()?;
        wire = Wire::resumed(target.encrypt(transport, tls).await?, sequence);
    }
    wire.set_mariadb(greeting.is_mariadb);
    let login = Login { password: password(target), is_private: is_private(target) };
    // A method that is not known here is the server's to exchange.
    let plugin = if greeting.plugin == CACHING_SHA2 { CACHING_SHA2 } else { NATIVE };
    let proof = login.proof(plugin, &greeting.nonce)?;
    response.extend_from_slice(target.server.user.as_bytes());
    response.push(0);
    response.push(u8::try_from(proof.len()).unwrap_or(0));
    response.extend_from_slice(&proof);
    response.extend_from_slice(target.server.database.as_bytes());
    response.push(0);
    response.extend_from_slice(plugin);
    response.push(0);
    wire.send(&response).await?;
    login.finish(&mut wire).await?;
    Ok(wire)
}

/// What the server says first.
struct Greeting {
    capabilities: u32,
    nonce: Vec<u8>,
    plugin: Vec<u8>,
    is_mariadb: bool,
}

impl Greeting {
    async fn read(wire: &mut Wire) -> Result<Self, Failed> {
        let packet = wire.packet().await?;
        if packet.first() == Some(&0xff) {
            return Err(wire.refused(&packet));
        }
        Self::parse(&packet)
    }

    fn parse(packet: &[u8]) -> Result<Self, Failed> {
        let mut fields = Fields::new(packet);
        if fields.u8()? != 10 {
            return Err(Failed::Broken("it is no server of MariaDB or MySQL".to_owned()));
        }
        let version = fields.until_nul()?;
        let is_mariadb = version.windows(7).any(|part| part.eq_ignore_ascii_case(b"mariadb"));
        fields.u32()?;
        let mut nonce = fields.bytes(8)?.to_vec();
        fields.u8()?;
        let low = u32::from(fields.u16()?);
        fields.bytes(3)?;
        let capabilities = low | u32::from(fields.u16()?) << 16;
        let length = usize::from(fields.u8()?);
        fields.bytes(10)?;
        let second = fields.bytes(length.saturating_sub(8).max(13))?;
        nonce.extend_from_slice(second.strip_suffix(&[0]).unwrap_or(second));
        let plugin = if capabilities & PLUGIN_AUTH == 0 { &[] } else { fields.until_nul()? };
        Ok(Self { capabilities, nonce, plugin: plugin.to_vec(), is_mariadb })
    }
}

fn password(target: &Target) -> &[u8] {
    target.password.as_ref().map_or(&[], |it| it.expose())
}

/// Whether nobody but the server can read what is sent: encrypted to a server that proved its name,
/// or over a socket of this machine.
fn is_private(target: &Target) -> bool {
    target.tls.is_some() || matches!(target.server.at, At::Socket(_))
}

struct Login<'a> {
    password: &'a [u8],
    is_private: bool,
}

impl Login<'_> {
    /// That the password is known, for those who know it as well.
    fn proof(&self, plugin: &[u8], nonce: &[u8]) -> Result<Vec<u8>, Failed> {
        if self.password.is_empty() {
            return Ok(Vec::new());
        }
        match plugin {
            NATIVE => {
                let once = sha1(&[self.password]);
                let twice = sha1(&[&*once]);
                Ok(xor(&once, &sha1(&[nonce, &*twice])))
            }
            CACHING_SHA2 => {
                let once = sha256(&[self.password]);
                let twice = sha256(&[&*once]);
                Ok(xor(&once, &sha256(&[&*twice, nonce])))
            }
            // Among them all that want the password in the clear.
            _ => {
                let name = String::from_utf8_lossy(plugin);
                let what = format!("the server wants a kind of login that is not known: {name:?}");
                Err(Failed::Broken(what))
            }
        }
    }

    async fn finish(&self, wire: &mut Wire) -> Result<(), Failed> {
        loop {
            let packet = wire.packet().await?;
            match packet.first() {
                Some(0x00) => return Ok(()),
                Some(0xff) => return Err(wire.refused(&packet)),
                Some(0xfe) => {
                    let mut fields = Fields::new(&packet);
                    fields.u8()?;
                    let plugin = fields.until_nul()?;
                    let nonce = fields.rest();
                    let proof = self.proof(plugin, nonce.strip_suffix(&[0]).unwrap_or(nonce))?;
                    wire.send(&proof).await?;
                }
                Some(0x01) => match packet.get(1..) {
                    // It remembers the password; its yes follows.
                    Some([3]) => {}
                    // It does not, and wants it whole.
                    Some([4]) if self.is_private => {
                        let mut whole = Zeroizing::new(self.password.to_vec());
                        whole.push(0);
                        wire.send(&whole).await?;
                    }
                    _ => {
                        let what = "the server wants the password in the clear, without TLS";
                        return Err(Failed::Broken(what.to_owned()));
                    }
                },
                _ => return Err(Failed::Broken("the login takes another course".to_owned())),
            }
        }
    }
}

fn sha1(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    digest(Context::new(&SHA1_FOR_LEGACY_USE_ONLY), parts)
}

fn sha256(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    digest(Context::new(&SHA256), parts)
}

fn digest(mut context: Context, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    for part in parts {
        context.update(part);
    }
    Zeroizing::new(context.finish().as_ref().to_vec())
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

#[cfg(test)]
mod tests;
