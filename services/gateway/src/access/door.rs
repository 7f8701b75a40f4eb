//! The way in: a key says who calls, the table of roles whether they may.

use holdfast_rpc::caller::{Authenticate, Caller, DEFAULT_TENANT, bearer};
use holdfast_rpc::{Error, Role};
use http::HeaderMap;

use super::Keys;
use super::roles::access;
use crate::metrics;

/// Authenticates and authorises every call from outside.
pub(crate) struct Door {
    keys: Keys,
}

impl Door {
    pub(crate) fn new(keys: Keys) -> Self {
        Self { keys }
    }

    fn caller(&self, headers: &HeaderMap) -> Result<Caller, Error> {
        if self.keys.are_open() {
            return Ok(Caller::of_tenant(DEFAULT_TENANT, Role::Operator, "local"));
        }
        let key = bearer(headers)
            .ok_or_else(|| Error::unauthenticated("a key is required: send it as `authorization: Bearer KEY`"))?;
        let identity = self.keys.find(key).ok_or_else(|| Error::unauthenticated("the key is not known here"))?;
        Ok(Caller::of_tenant(&identity.tenant, identity.role, &identity.name))
    }
}

impl Authenticate for Door {
    fn authenticate(&self, path: &str, headers: &HeaderMap) -> Result<Caller, Error> {
        let caller = self.caller(headers).inspect_err(|_| metrics::refused("key"))?;
        // A path without a line is no method of ours: the routes answer that there is none.
        if access(path).is_some_and(|access| !access.admits(caller.role)) {
            metrics::refused("role");
            let (role, method) = (caller.role.name(), path.rsplit('/').next().unwrap_or_default());
            return Err(Error::permission_denied(format!("the role {role} may not call {method}")));
        }
        Ok(caller)
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::super::{Identity, Key};
    use super::*;

    const SUBMIT: &str = "/holdfast.gateway.v1.InvocationService/SubmitInvocation";
    const PUT: &str = "/holdfast.state.v1.StateService/Put";
    const RAISE_FENCE: &str = "/holdfast.state.v1.StateService/RaiseFence";

    fn door() -> Door {
        let identity = Identity { tenant: "acme".into(), role: Role::Caller, name: "shop".into() };
        Door::new(Keys::new(vec![Key::new("0123456789abcdef", identity)]))
    }

    fn headers(authorization: &str) -> HeaderMap {
        let value = authorization.parse().expect("a header value");
        HeaderMap::from_iter([(http::header::AUTHORIZATION, value)])
    }

    fn refused(door: &Door, path: &str, headers: &HeaderMap) -> Code {
        door.authenticate(path, headers).expect_err("it must be refused").code()
    }

    #[test]
    fn a_known_key_is_its_tenant() {
        let caller = door().authenticate(SUBMIT, &headers("Bearer 0123456789abcdef")).expect("the key is known");
        assert_eq!(
            (caller.named_tenant(), caller.role, caller.principal.as_str()),
            (Some("acme"), Role::Caller, "shop")
        );
    }

    #[test]
    fn no_key_and_wrong_keys_are_refused_whatever_is_called() {
        for path in [SUBMIT, PUT, RAISE_FENCE, "/nothing"] {
            assert_eq!(refused(&door(), path, &HeaderMap::new()), Code::Unauthenticated);
            for wrong in ["Bearer wrong", "Basic 0123456789abcdef", "0123456789abcdef", "Bearer", ""] {
                assert_eq!(refused(&door(), path, &headers(wrong)), Code::Unauthenticated, "{wrong:?}");
            }
        }
    }

    #[test]
    fn a_role_calls_what_its_line_says_and_nothing_else() {
        assert_eq!(refused(&door(), PUT, &headers("Bearer 0123456789abcdef")), Code::PermissionDenied);
    }

    #[test]
    fn without_keys_everybody_is_the_default_tenants_operator_but_not_the_mesh() {
        let open = Door::new(Keys::default());
        let caller = open.authenticate(PUT, &HeaderMap::new()).expect("everybody may");
        assert_eq!((caller.named_tenant(), caller.role), (Some(DEFAULT_TENANT), Role::Operator));
        assert_eq!(refused(&open, RAISE_FENCE, &HeaderMap::new()), Code::PermissionDenied);
    }

    #[test]
    fn what_a_stranger_says_of_himself_counts_for_nothing() {
        let mut given = headers("Bearer 0123456789abcdef");
        for (name, value) in
            [("holdfast-role", "mesh"), ("holdfast-tenant", "umbrella"), ("holdfast-principal", "root")]
        {
            given.insert(name, value.parse().expect("a header value"));
        }
        let caller = door().authenticate(SUBMIT, &given).expect("the key is known");
        assert_eq!((caller.named_tenant(), caller.role), (Some("acme"), Role::Caller));
    }
}
