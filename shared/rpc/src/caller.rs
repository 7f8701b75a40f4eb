//! Who is calling: what the authentication layer found out, for the handlers.

use holdfast_config::Secret;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};

use crate::{
    Error,
    lease::{self, LeaseKey, LeaseToken},
};

/// Metadata that names the tenant of a call inside of the mesh.
pub const TENANT: &str = "holdfast-tenant";
/// Metadata that names the role of who asked the gateway.
pub const ROLE: &str = "holdfast-role";
/// Metadata that names who asked the gateway, for records and logs.
pub const PRINCIPAL: &str = "holdfast-principal";
/// The tenant of everybody where no keys are configured.
pub const DEFAULT_TENANT: &str = "default";

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Submits and follows invocations.
    Caller,
    /// Leases and runs them.
    Worker,
    /// Both, and looks after the tenant's state and tools.
    Operator,
    /// A service of the mesh itself.
    Mesh,
}

impl Role {
    /// Its name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Worker => "worker",
            Self::Operator => "operator",
            Self::Mesh => "mesh",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Caller, Self::Worker, Self::Operator, Self::Mesh].into_iter().find(|role| role.name() == name)
    }
}

/// Who is calling.
#[derive(Debug, Clone)]
pub struct Caller {
    tenant: Option<String>,
    /// What they may do.
    pub role: Role,
    /// Their name, for records and logs.
    pub principal: String,
    /// The lease under which they act; its signature is checked, and its tenant is theirs.
    pub lease: Option<LeaseToken>,
    /// Whether this mesh takes everybody (loopback, no credential).
    open: bool,
    /// Whether the mesh's credential was shown.
    vouched: bool,
}

impl Caller {
    /// Somebody of a tenant.
    pub fn of_tenant(tenant: impl Into<String>, role: Role, principal: impl Into<String>) -> Self {
        Self {
            tenant: Some(tenant.into()),
            role,
            principal: principal.into(),
            lease: None,
            open: false,
            vouched: false,
        }
    }

    /// The caller of a request; the authentication layer put it there.
    ///
    /// # Panics
    /// Where a service is served without that layer: a fault in the wiring, not in the request.
    pub fn of<T>(request: &tonic::Request<T>) -> &Self {
        request.extensions().get().expect("the authentication layer names the caller of every request")
    }

    /// The tenant for whom this call acts: the lease's, else the credential's.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where a service of the mesh names none.
    pub fn tenant(&self) -> Result<&str, Error> {
        match (&self.lease, &self.tenant) {
            (Some(lease), _) => Ok(&lease.tenant),
            (None, Some(tenant)) => Ok(tenant),
            (None, None) if self.open => Ok(DEFAULT_TENANT),
            (None, None) => Err(Error::invalid(TENANT, "a service of the mesh must name the tenant for whom it calls")),
        }
    }

    /// The tenant to which this caller is confined; `None` for a service of the mesh that acts for all.
    pub fn named_tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// Whether a service of the mesh has shown its credential: it calls for itself, or passes on somebody's call.
    pub fn is_vouched_for(&self) -> bool {
        self.vouched
    }

    /// Whether a service of the mesh calls for itself.
    pub fn is_mesh(&self) -> bool {
        self.role == Role::Mesh
    }
}

/// Finds out who is calling, from a request's headers.
pub trait Authenticate: Send + Sync + 'static {
    /// The caller.
    ///
    /// # Errors
    /// UNAUTHENTICATED or PERMISSION_DENIED.
    fn authenticate(&self, path: &str, headers: &HeaderMap) -> Result<Caller, Error>;
}

/// Inside of the mesh: the credential is checked where there is one, then the headers are believed.
#[derive(Debug)]
pub struct MeshAuth {
    credential: Option<[u8; 32]>,
    key: LeaseKey,
}

impl MeshAuth {
    /// Checks a credential (none: an open mesh on loopback) and lease tokens.
    pub fn new(credential: Option<&Secret>, key: LeaseKey) -> Self {
        Self { credential: credential.map(|secret| digest(secret.reveal())), key }
    }

    /// Whether this is the mesh's own credential.
    pub(crate) fn is_credential(&self, shown: &str) -> bool {
        // Digests are compared, so the time tells nothing about the credential.
        self.credential.is_some_and(|expected| digest(shown) == expected)
    }

    /// The same caller under the lease that the headers show, if they do.
    pub(crate) fn under_lease(&self, caller: Caller, headers: &HeaderMap) -> Result<Caller, Error> {
        let lease = text(headers, lease::HEADER)?.map(|token| self.key.verify(token)).transpose()?;
        if let (Some(tenant), Some(lease)) = (&caller.tenant, &lease)
            && *tenant != lease.tenant
        {
            return Err(Error::permission_denied("the lease is another tenant's"));
        }
        Ok(Caller { lease, ..caller })
    }
}

impl Authenticate for MeshAuth {
    fn authenticate(&self, _path: &str, headers: &HeaderMap) -> Result<Caller, Error> {
        if self.credential.is_some() && !bearer(headers).is_some_and(|shown| self.is_credential(shown)) {
            return Err(Error::unauthenticated("this service takes calls of its mesh only; go through the gateway"));
        }
        let role = match text(headers, ROLE)? {
            Some(name) => Role::parse(name).ok_or_else(|| Error::invalid(ROLE, "is not a role"))?,
            None => Role::Mesh,
        };
        let tenant = text(headers, TENANT)?.map(str::to_owned);
        let principal = text(headers, PRINCIPAL)?.unwrap_or(role.name()).to_owned();
        let vouched = self.credential.is_some();
        self.under_lease(Caller { tenant, role, principal, lease: None, open: !vouched, vouched }, headers)
    }
}

/// The token of an `authorization: Bearer …` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What stands for a credential where credentials are compared.
pub fn digest(credential: &str) -> [u8; 32] {
    Sha256::digest(credential.as_bytes()).into()
}

fn text<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, Error> {
    headers
        .get(name)
        .map(HeaderValue::to_str)
        .transpose()
        .map_err(|_| Error::invalid(name, "must be plain ASCII"))
        .map(|value| value.filter(|value| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn token(tenant: &str) -> LeaseToken {
        LeaseToken {
            tenant: tenant.into(),
            session: String::new(),
            invocation_id: "i".into(),
            attempt: 1,
            lease_id: "l".into(),
            fence: 1,
            agent: "a".into(),
        }
    }

    #[test]
    fn a_stranger_is_refused_where_a_credential_is_set() {
        let auth = MeshAuth::new(Some(&Secret::in_memory("s3cret")), LeaseKey::new(b"k"));
        for given in
            [headers(&[]), headers(&[("authorization", "Bearer wrong")]), headers(&[("authorization", "s3cret")])]
        {
            assert_eq!(auth.authenticate("/", &given).unwrap_err().code(), tonic::Code::Unauthenticated);
        }
        let caller = auth.authenticate("/", &headers(&[("authorization", "Bearer s3cret")])).unwrap();
        assert!(caller.is_mesh() && caller.named_tenant().is_none() && caller.tenant().is_err());
        assert!(caller.is_vouched_for() && !Caller::of_tenant("acme", Role::Operator, "key").is_vouched_for());
    }

    #[test]
    fn the_tenant_of_the_token_is_the_tenant_of_the_credential() {
        let key = LeaseKey::new(b"k");
        let auth = MeshAuth::new(None, key.clone());
        let lease = key.sign(&token("acme"));
        let refused = auth.authenticate("/", &headers(&[(TENANT, "other"), (lease::HEADER, &lease)]));
        assert_eq!(refused.unwrap_err().code(), tonic::Code::PermissionDenied);
        let caller = auth.authenticate("/", &headers(&[(lease::HEADER, &lease)])).unwrap();
        assert_eq!(caller.tenant().unwrap(), "acme");
    }
}
