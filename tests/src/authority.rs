//! Authorities of a test: certificates, keys and revocation lists made on the spot.
//!
//! Knows nothing of brokers: what it makes are files in PEM.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RevokedCertParams, SanType,
    SerialNumber, date_time_ymd, string::Ia5String,
};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use server::{ClientAuth, CrlSource, TlsConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Somebody who signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate and those above it, its own first.
    chain: Vec<String>,
}

/// Somebody with a certificate and its key, both in PEM.
#[derive(Clone, Debug)]
pub struct Holder {
    /// The certificate and those up to the root, which is left out.
    pub chain: String,
    /// The key.
    pub key: String,
    /// The serial number.
    pub serial: u64,
}

/// What a certificate says.
#[derive(Clone, Debug, Default)]
pub struct Wish<'a> {
    /// Common Names.
    pub common_names: &'a [&'a str],
    /// Organizational Unit.
    pub unit: Option<&'a str>,
    /// Alternative names.
    pub names: &'a [&'a str],
    /// Alternative names that are URIs.
    pub uris: &'a [&'a str],
    /// Serial number.
    pub serial: u64,
    /// Ends in the year 2000.
    pub is_over: bool,
    /// Ends so soon, in whole seconds from now.
    pub ends_in: Option<Duration>,
    /// With a key for RSA instead of one on a curve.
    pub is_rsa: bool,
    /// Where to ask about it.
    pub responder: Option<&'a str>,
    /// Where a list about it is.
    pub list_at: Option<&'a str>,
}

/// Whether a list is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// For decades.
    Later,
    /// It went stale long ago.
    Past,
}

fn params(common_names: &[&str], names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (number, name) in common_names.iter().enumerate() {
        // Of one kind there can be one only; said in another way it is the same kind.
        let kind = match number {
            0 => DnType::CommonName,
            _ => DnType::CustomDnType(vec![2, 5, 4, 3]),
        };
        params.distinguished_name.push(kind, *name);
    }
    params.not_before = date_time_ymd(1999, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    params
}

impl Authority {
    /// A root.
    pub fn root(name: &str) -> Self {
        let params = Self::params(name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(params, key), chain: vec![certificate.pem()] }
    }

    /// An authority below this one.
    pub fn below(&self, name: &str, serial: u64) -> Self {
        let mut params = Self::params(name);
        params.serial_number = Some(SerialNumber::from(serial));
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let mut chain = vec![certificate.pem()];
        chain.extend(self.chain.iter().cloned());
        Self { issuer: Issuer::new(params, key), chain }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = params(&[name], &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        params
    }

    /// Its certificate alone.
    pub fn pem(&self) -> &str {
        &self.chain[0]
    }

    /// Its certificate and those above it.
    pub fn chain(&self) -> String {
        self.chain.concat()
    }

    /// Its key.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate for a server or a client.
    pub fn certify(&self, wish: &Wish<'_>) -> Holder {
        let mut params = params(wish.common_names, wish.names);
        if let Some(unit) = wish.unit {
            params.distinguished_name.push(DnType::OrganizationalUnitName, unit);
        }
        let uris = wish.uris.iter().map(|uri| Ia5String::try_from(*uri).expect("ASCII"));
        params.subject_alt_names.extend(uris.map(SanType::URI));
        params.serial_number = Some(SerialNumber::from(wish.serial));
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        if wish.is_over {
            params.not_after = date_time_ymd(2000, 1, 1);
        }
        if let Some(ends_in) = wish.ends_in {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
            let seconds = Duration::from_secs((now + ends_in).as_secs());
            params.not_after = date_time_ymd(1970, 1, 1) + seconds;
        }
        if let Some(url) = wish.responder {
            let oid = [1, 3, 6, 1, 5, 5, 7, 1, 1];
            params.custom_extensions.push(CustomExtension::from_oid_content(&oid, access(url)));
        }
        let list_at = wish.list_at.map(|url| CrlDistributionPoint { uris: vec![url.to_owned()] });
        params.crl_distribution_points = list_at.into_iter().collect();
        let algorithm = if wish.is_rsa { &PKCS_RSA_SHA256 } else { &PKCS_ECDSA_P256_SHA256 };
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let between = &self.chain[..self.chain.len() - 1];
        Holder {
            chain: format!("{}{}", certificate.pem(), between.concat()),
            key: key.serialize_pem(),
            serial: wish.serial,
        }
    }

    /// A server called `localhost` and `broker.example`.
    pub fn server(&self) -> Holder {
        let names = &["localhost", "broker.example", "127.0.0.1"];
        self.certify(&Wish { common_names: &["broker"], names, serial: 1, ..Wish::default() })
    }

    /// A client.
    pub fn client(&self, name: &str, serial: u64) -> Holder {
        self.certify(&Wish { common_names: &[name], serial, ..Wish::default() })
    }

    /// A revocation list.
    pub fn list(&self, revoked: impl IntoIterator<Item = u64>, until: Until) -> String {
        self.sign_list(revoked, until).pem().expect("a list")
    }

    /// The same, in DER.
    pub fn list_der(&self, revoked: impl IntoIterator<Item = u64>, until: Until) -> Vec<u8> {
        self.sign_list(revoked, until).der().to_vec()
    }

    fn sign_list(
        &self,
        revoked: impl IntoIterator<Item = u64>,
        until: Until,
    ) -> rcgen::CertificateRevocationList {
        let revoked = revoked.into_iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2000, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2000, 1, 1),
            next_update: match until {
                Until::Later => date_time_ymd(2049, 1, 1),
                Until::Past => date_time_ymd(2001, 1, 1),
            },
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).expect("a list")
    }
}

/// AuthorityInfoAccess with one responder.
fn access(url: &str) -> Vec<u8> {
    let wrap = |tag: u8, content: &[u8]| {
        let mut der = vec![tag, u8::try_from(content.len()).expect("a short URL")];
        der.extend_from_slice(content);
        der
    };
    let method = [6, 8, 0x2B, 6, 1, 5, 5, 7, 48, 1];
    let location = wrap(0x86, url.as_bytes());
    wrap(0x30, &wrap(0x30, &[&method[..], &location].concat()))
}

/// Files of a broker with TLS.
pub struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    /// The server's certificate and key, and authorities of clients.
    pub fn new(server: &Holder, client_ca: &str) -> Self {
        let files = Self { folder: tempfile::tempdir().expect("a folder") };
        files.write("server.pem", &server.chain);
        files.write("server.key", &server.key);
        files.write("client-ca.pem", client_ca);
        files
    }

    /// Where a file is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in one step, for its owner alone.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let beside = self.path(".being-written");
        fs::write(&beside, content).expect("a file");
        fs::set_permissions(&beside, Permissions::from_mode(0o600)).expect("its mode");
        fs::rename(&beside, self.path(name)).expect("its name");
        self.path(name)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Certificate and key, nothing asked of clients.
    pub fn config(&self) -> TlsConfig {
        TlsConfig::new(self.path("server.pem"), self.path("server.key"))
    }

    /// Clients must show a certificate.
    pub fn mutual(&self) -> TlsConfig {
        TlsConfig {
            client_auth: ClientAuth::Required,
            client_ca: Some(self.path("client-ca.pem")),
            ..self.config()
        }
    }

    /// And it must not be revoked by a list in this file.
    pub fn listed(&self, list: &str) -> TlsConfig {
        TlsConfig { crl: vec![CrlSource::File(self.path(list))], ..self.mutual() }
    }
}

/// What a client of ours offers, and whom it believes. Connections made with one resume sessions.
pub fn connector(authority: &Authority, client: Option<&Holder>) -> TlsConnector {
    TlsConnector::from(Arc::new(client_config(authority, client)))
}

/// The same, never resuming.
pub fn forgetful(authority: &Authority, client: Option<&Holder>) -> TlsConnector {
    let mut config = client_config(authority, client);
    config.resumption = Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

/// The configuration of a client.
pub fn client_config(authority: &Authority, client: Option<&Holder>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let root = authority.chain.last().expect("a root");
    roots.add(CertificateDer::from_pem_slice(root.as_bytes()).expect("PEM")).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    match client {
        None => config.with_no_client_auth(),
        Some(holder) => {
            let chain = CertificateDer::pem_slice_iter(holder.chain.as_bytes());
            let chain = chain.map(|der| der.expect("PEM")).collect();
            let key = PrivateKeyDer::from_pem_slice(holder.key.as_bytes()).expect("PEM");
            config.with_client_auth_cert(chain, key).expect("its key")
        }
    }
}

/// A handshake with the server `localhost`.
pub async fn handshake(
    connector: &TlsConnector,
    address: std::net::SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    connector.connect(ServerName::try_from("localhost").expect("a name"), stream).await
}
