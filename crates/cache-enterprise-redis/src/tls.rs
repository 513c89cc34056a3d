//! Certificates from files, in the form the connections want them.

use std::path::Path;
use std::sync::Arc;

use cache_enterprise_core::{Error, ErrorKind, Result};
use redis::{ClientTlsConfig, TlsCertificates};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use crate::config::Tls;

/// What the files of a [`Tls`] hold.
pub(crate) struct Certificates {
    roots: Option<Vec<u8>>,
    /// Certificate and key.
    identity: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

impl Certificates {
    /// Reads the files; blocks for as long as that takes.
    pub(crate) fn read(tls: &Tls) -> Result<Self> {
        let roots = tls.ca_file.as_deref().map(|path| file("ca_file", path)).transpose()?;
        let identity = match &tls.identity {
            None => None,
            Some((certificate, key)) => Some((
                file("client_certificate", certificate)?,
                Zeroizing::new(file("client_key", key)?),
            )),
        };
        Ok(Self { roots, identity })
    }

    /// For connections of our own.
    pub(crate) fn client_config(&self) -> Result<Arc<ClientConfig>> {
        let chosen = CryptoProvider::get_default().cloned();
        let provider = chosen.unwrap_or_else(|| Arc::new(ring::default_provider()));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| Error::config("the process's cryptography offers no version of TLS"))?
            .with_root_certificates(self.roots()?);
        let config = match &self.identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates("client_certificate", certificate)?;
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|_| unusable("client_key", "holds no private key in PEM"))?;
                config.with_client_auth_cert(chain, key).map_err(|_| {
                    unusable("client_key", "is not the key of the client's certificate")
                })?
            }
        };
        Ok(Arc::new(config))
    }

    /// For connections that the client makes by itself.
    pub(crate) fn for_client(&self) -> TlsCertificates {
        use_provider();
        let client_tls = self.identity.as_ref().map(|(certificate, key)| ClientTlsConfig {
            client_cert: certificate.clone(),
            client_key: key.to_vec(),
        });
        TlsCertificates { client_tls, root_cert: self.roots.clone() }
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let Some(pem) = &self.roots else {
            // What of the system's files cannot be read is missed only by who needs it.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(roots);
        };
        for certificate in certificates("ca_file", pem)? {
            roots
                .add(certificate)
                .map_err(|_| unusable("ca_file", "holds a certificate of no authority"))?;
        }
        Ok(roots)
    }
}

/// The client takes the cryptography that the process chose and none by itself, so where nobody
/// chose, it is chosen here: for the process, as there is no other way to tell the client.
fn use_provider() {
    if CryptoProvider::get_default().is_none() {
        // Somebody else may have been faster, which is as good.
        let _ = ring::default_provider().install_default();
    }
}

fn certificates(option: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| unusable(option, "holds a damaged certificate"))?;
    if found.is_empty() {
        return Err(unusable(option, "holds no certificate in PEM"));
    }
    Ok(found)
}

fn file(option: &'static str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|cause| {
        Error::new(ErrorKind::Io, "cannot read the file")
            .with("option", option)
            .with("path", path.display())
            .source_error(cause)
    })
}

fn unusable(option: &'static str, why: &str) -> Error {
    Error::config(format!("the file {why}; give another")).with("option", option)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused_by_the_name_of_its_option() {
        let roots = |pem: &[u8]| Certificates { roots: Some(pem.to_vec()), identity: None };
        let damaged = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in [&b""[..], b"no certificate", damaged] {
            let error = roots(pem).client_config().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains("ca_file"), "{error}");
        }
        let missing = Tls { ca_file: Some("no/such/file.pem".into()), ..Tls::default() };
        let Err(error) = Certificates::read(&missing) else { panic!("it was read") };
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(error.to_string().contains("no/such/file.pem"), "{error}");
    }
}
