use std::{fs, path::Path};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tonic::transport::ClientTlsConfig;

/// Whom a collector behind TLS may be vouched for by: the authorities in a file, or those that this machine trusts.
///
/// # Errors
/// Why nobody would be believed: told at the start, and not by each push that fails.
pub(super) fn of(file: Option<&Path>) -> Result<ClientTlsConfig, String> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            let pem = fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| format!("is not usable PEM: {error}"))?;
                roots.add(certificate).map_err(|error| format!("cannot be used: {error}"))?;
            }
            if roots.is_empty() {
                return Err(format!("{} holds no certificate", file.display()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err("this machine trusts no authority: name one by OTEL_EXPORTER_OTLP_CERTIFICATE".into());
            }
        }
    }
    Ok(ClientTlsConfig::new().trust_anchors(roots.roots))
}
