//! Certificates of one test: made when it starts, gone with its folder.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// A name nobody is reached by, which [`ServerName::Another`] certificates are for.
const ANOTHER_NAME: &str = "elsewhere.invalid";

/// Whom a server's certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerName {
    /// `localhost` and 127.0.0.1.
    Loopback,
    /// Somebody else: a client that checks names must refuse it.
    Another,
}

/// PEM files of an authority, of a server and a client it signed, and of an authority that signed
/// neither.
///
/// ```
/// use cache_enterprise_testkit::servers::{Certificates, ServerName};
///
/// let folder = tempfile::tempdir()?;
/// let certificates = Certificates::write(folder.path(), ServerName::Loopback);
/// assert!(certificates.ca_file().is_file());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// Makes the keys and certificates and writes them into `folder`. They hold for years, so no
    /// test sees one expire. Some milliseconds.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn write(folder: &Path, server: ServerName) -> Self {
        let certificates = Certificates { folder: folder.to_path_buf() };
        let authority = Authority::new("authority of a test");
        certificates.store("ca.pem", &authority.certificate);
        certificates.store("stranger-ca.pem", &Authority::new("another authority").certificate);
        let names: &[&str] = match server {
            ServerName::Loopback => &["localhost", "127.0.0.1"],
            ServerName::Another => &[ANOTHER_NAME],
        };
        certificates.store_leaf("server", authority.sign("server of a test", names));
        certificates.store_leaf("client", authority.sign("client of a test", &[]));
        certificates
    }

    /// The authority that signed server and client.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// An authority that signed nothing here: who trusts only it must refuse the server.
    pub fn stranger_ca_file(&self) -> PathBuf {
        self.folder.join("stranger-ca.pem")
    }

    /// The server's certificate.
    pub fn server_certificate_file(&self) -> PathBuf {
        self.folder.join("server.pem")
    }

    /// The server's key, as PKCS #8.
    pub fn server_key_file(&self) -> PathBuf {
        self.folder.join("server-key.pem")
    }

    /// A client's certificate.
    pub fn client_certificate_file(&self) -> PathBuf {
        self.folder.join("client.pem")
    }

    /// The client's key, as PKCS #8.
    pub fn client_key_file(&self) -> PathBuf {
        self.folder.join("client-key.pem")
    }

    fn store_leaf(&self, name: &str, (certificate, key): (String, String)) {
        self.store(&format!("{name}.pem"), &certificate);
        self.store(&format!("{name}-key.pem"), &key);
    }

    fn store(&self, name: &str, text: &str) {
        fs::write(self.folder.join(name), text).unwrap_or_else(|e| panic!("writing {name}: {e}"));
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = new_key();
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).expect("a fresh key signs").pem();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    /// A certificate for both ends of a connection and its key.
    fn sign(&self, name: &str, names: &[&str]) -> (String, String) {
        let key = new_key();
        let mut params = named(name, names);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).expect("a fresh key signs");
        (certificate.pem(), key.serialize_pem())
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("the system gives random bytes")
}

fn named(name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).expect("the names are plain ASCII");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
