//! Who may come to the routes over plain HTTP: owners of keys, and the mesh itself. Everything else is for the mesh alone.

use http::HeaderMap;

use super::Paths;
use crate::{
    Error,
    caller::{Authenticate, Caller, MeshAuth, bearer},
    keys::Keys,
};

/// The mesh's own way in, with a second one for owners of keys to some of the paths.
#[derive(Debug)]
pub(crate) struct Door {
    mesh: MeshAuth,
    /// None where no keys are configured.
    keys: Option<Keys>,
    paths: Paths,
}

impl Door {
    pub(crate) fn new(mesh: MeshAuth, keys: Option<Keys>, paths: Paths) -> Self {
        Self { mesh, keys, paths }
    }
}

impl Authenticate for Door {
    fn authenticate(&self, path: &str, headers: &HeaderMap) -> Result<Caller, Error> {
        let Some(keys) = self.keys.as_ref().filter(|_| self.paths.of(path).is_some()) else {
            return self.mesh.authenticate(path, headers);
        };
        let Some(shown) = bearer(headers) else {
            return Err(Error::unauthenticated("a key is required: send it as `authorization: Bearer KEY`"));
        };
        match keys.find(shown) {
            Some(identity) => {
                let caller = Caller::of_tenant(&identity.tenant, identity.role, &identity.name);
                self.mesh.under_lease(caller, headers)
            }
            None if self.mesh.is_credential(shown) => self.mesh.authenticate(path, headers),
            None => Err(Error::unauthenticated("the key is not known here")),
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_config::Secret;
    use tonic::Code;

    use super::*;
    use crate::{
        Role,
        caller::{ROLE, TENANT},
        keys::{Identity, Key},
        lease::{self, LeaseKey, LeaseToken},
    };

    const KEY: &str = "0123456789abcdef";

    fn door(credential: Option<&str>, keys: bool) -> Door {
        let identity = Identity { tenant: "acme".into(), role: Role::Worker, name: "shop".into() };
        let mesh = MeshAuth::new(credential.map(Secret::in_memory).as_ref(), LeaseKey::new(b"k"));
        Door::new(
            mesh,
            keys.then(|| Keys::new(vec![Key::new(KEY, identity)])),
            Paths::new([("/mcp", crate::web::refuse as crate::web::Refusal)]),
        )
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn lease(tenant: &str) -> String {
        LeaseKey::new(b"k").sign(&LeaseToken {
            tenant: tenant.into(),
            invocation_id: "i".into(),
            ..LeaseToken::default()
        })
    }

    #[test]
    fn a_key_is_its_tenant_whatever_its_owner_says() {
        let given = headers(&[("authorization", "Bearer 0123456789abcdef"), (TENANT, "umbrella"), (ROLE, "mesh")]);
        let caller = door(None, true).authenticate("/mcp", &given).expect("the key is known");
        assert_eq!((caller.tenant().unwrap(), caller.role, &*caller.principal), ("acme", Role::Worker, "shop"));
    }

    #[test]
    fn a_key_opens_its_paths_and_nothing_else() {
        let given = headers(&[("authorization", "Bearer 0123456789abcdef")]);
        let refused = door(Some("s3cret"), true).authenticate("/holdfast.tool.v1.ToolService/CallTool", &given);
        assert_eq!(refused.expect_err("the mesh alone").code(), Code::Unauthenticated);
    }

    #[test]
    fn where_keys_are_configured_nobody_comes_without_one_but_the_mesh() {
        for door in [door(Some("s3cret"), true), door(None, true)] {
            for wrong in
                [headers(&[]), headers(&[("authorization", "Bearer wrong")]), headers(&[("authorization", KEY)])]
            {
                let refused = door.authenticate("/mcp", &wrong).expect_err("a stranger");
                assert_eq!(refused.code(), Code::Unauthenticated, "{wrong:?}");
            }
        }
        let mesh = headers(&[("authorization", "Bearer s3cret"), (TENANT, "umbrella")]);
        let caller = door(Some("s3cret"), true).authenticate("/mcp", &mesh).expect("the mesh itself");
        assert!(caller.is_mesh() && caller.tenant().unwrap() == "umbrella");
    }

    #[test]
    fn without_keys_the_meshs_own_rule_holds() {
        assert!(door(None, false).authenticate("/mcp", &headers(&[])).is_ok(), "an open mesh on loopback");
        let refused = door(Some("s3cret"), false).authenticate("/mcp", &headers(&[])).expect_err("a stranger");
        assert_eq!(refused.code(), Code::Unauthenticated);
    }

    #[test]
    fn a_lease_goes_with_a_key_of_its_tenant_only() {
        let shown = |token: &str| headers(&[("authorization", "Bearer 0123456789abcdef"), (lease::HEADER, token)]);
        let caller = door(None, true).authenticate("/mcp", &shown(&lease("acme"))).expect("its own lease");
        assert_eq!(caller.lease.map(|lease| lease.invocation_id).as_deref(), Some("i"));
        let other = door(None, true).authenticate("/mcp", &shown(&lease("umbrella"))).expect_err("another's");
        assert_eq!(other.code(), Code::PermissionDenied);
        let forged = door(None, true).authenticate("/mcp", &shown("x.y")).expect_err("forged");
        assert_eq!(forged.code(), Code::Unauthenticated);
    }
}
