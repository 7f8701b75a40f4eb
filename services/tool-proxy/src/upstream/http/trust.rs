//! Who vouches for a tool's certificate.

use holdfast_config::{Common, Secret, Tls};
use reqwest::Certificate;

use super::form::Wrong;
use crate::config::Tool;

/// The authorities of a tool besides the public ones. The mesh's own simulator shows the mesh's own certificate.
pub(super) fn authorities(tool: &Tool, common: &Common, simulated: bool) -> Result<Vec<Certificate>, Wrong> {
    let own = authority(tool)?;
    if !own.is_empty() || !simulated {
        return Ok(own);
    }
    match common.tls.as_ref().and_then(Tls::trusted) {
        Some(mesh) => certificates(mesh).map_err(|why| ("url".into(), format!("tls.authority {why}"))),
        None => Ok(own),
    }
}

/// The authority that a tool names; an error names the key and why.
pub(crate) fn authority(tool: &Tool) -> Result<Vec<Certificate>, Wrong> {
    let Some(authority) = &tool.authority else { return Ok(Vec::new()) };
    if tool.url.get(.."http:".len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:")) {
        return Err(("authority".into(), "is for https only: this tool shows no certificate".into()));
    }
    certificates(authority).map_err(|why| ("authority".into(), why))
}

fn certificates(authority: &Secret) -> Result<Vec<Certificate>, String> {
    match Certificate::from_pem_bundle(authority.reveal().as_bytes()) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err("is not a certificate in PEM".into()),
    }
}
