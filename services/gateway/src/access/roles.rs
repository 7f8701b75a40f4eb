//! The table of roles: every method of the mesh, and the least role that may call it through this door.
//!
//! Each role may do what the one before it may: caller, worker, operator. What is the mesh's own passes for nobody. The
//! services behind check the rest for themselves: the tenant of everything, and the lease of a worker's writes and calls.

use holdfast_rpc::Role;

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// This role and those above it.
    From(Role),
    /// Services of the mesh among themselves; nobody through the gateway.
    MeshOnly,
}

use Access::MeshOnly;

const CALLER: Access = Access::From(Role::Caller);
const WORKER: Access = Access::From(Role::Worker);
const OPERATOR: Access = Access::From(Role::Operator);

/// Methods by service.
#[rustfmt::skip]
const TABLE: &[(&str, &[(&str, Access)])] = &[
    ("holdfast.gateway.v1.InvocationService", &[
        ("SubmitInvocation", CALLER),
        ("RunInvocation",    CALLER),
        ("WatchInvocation",  CALLER),
        ("GetInvocation",    CALLER),
        ("ListInvocations",  CALLER),
        ("CancelInvocation", CALLER),
        ("RedriveInvocations", CALLER),
    ]),
    ("holdfast.queue.v1.QueueService", &[
        ("Enqueue",          MeshOnly), // the gateway checks and stamps what it accepts: use SubmitInvocation
        ("EnqueueStream",    MeshOnly),
        ("GetInvocation",    CALLER),
        ("ListInvocations",  CALLER),
        ("WatchInvocation",  CALLER),
        ("CancelInvocation", CALLER),
        ("RedriveInvocations", CALLER),
        ("ListDepths",       OPERATOR),
        ("Work",             WORKER),
        ("Lease",            WORKER),
        ("Heartbeat",        WORKER),
        ("ReportProgress",   WORKER),
        ("Complete",         WORKER),
        ("Fail",             WORKER),
        ("Release",          WORKER),
    ]),
    ("holdfast.state.v1.StateService", &[
        ("Get",              CALLER),
        ("BatchGet",         CALLER),
        ("List",             CALLER),
        ("Put",              WORKER),
        ("BatchPut",         WORKER),
        ("Delete",           WORKER),
        ("History",          CALLER),
        ("Watch",            CALLER),
        ("Sync",             WORKER),
        ("AcquireLock",      WORKER),
        ("RenewLock",        WORKER),
        ("ReleaseLock",      WORKER),
        ("ListLocks",        CALLER),
        ("RegisterFence",    WORKER),
        ("RaiseFence",       MeshOnly), // ends leases: the queue's word alone
    ]),
    ("holdfast.tool.v1.ToolService", &[
        ("CallTool",         WORKER),
        ("ListTools",        CALLER),
        ("ListCircuits",     OPERATOR),
        ("WatchCircuits",    OPERATOR),
        ("SetCircuit",       OPERATOR),
    ]),
    ("holdfast.llm.v1.LlmService", &[
        ("Generate",         WORKER),
        ("StreamGenerate",   WORKER),
        ("ListModels",       CALLER),
        ("GetCapacity",      OPERATOR),
        ("WatchCapacity",    OPERATOR),
    ]),
];

/// Who may call the method with this HTTP/2 path; `None` where there is no such method.
pub(crate) fn access(path: &str) -> Option<Access> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let (_, methods) = TABLE.iter().find(|(name, _)| *name == service)?;
    methods.iter().find(|(name, _)| *name == method).map(|(_, access)| *access)
}

impl Access {
    /// Whether a role may call it.
    pub(crate) fn admits(self, role: Role) -> bool {
        match self {
            Self::From(least) => rank(role) >= rank(least),
            Self::MeshOnly => false,
        }
    }
}

const fn rank(role: Role) -> u8 {
    match role {
        Role::Caller => 0,
        Role::Worker => 1,
        Role::Operator => 2,
        // Nobody holds this role outside; inside, it may what the operator may.
        Role::Mesh => 3,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// The paths of all methods in `proto/`.
    fn contracts() -> Vec<String> {
        let set = FileDescriptorSet::decode(holdfast_proto::FILE_DESCRIPTOR_SET).expect("the contracts decode");
        let mut paths = Vec::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    paths.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        paths
    }

    #[test]
    fn every_method_of_the_contracts_has_its_line_and_no_line_is_stale() {
        let contracts = contracts();
        for path in &contracts {
            assert!(access(path).is_some(), "{path} is missing from the table of roles");
        }
        let lines: usize = TABLE.iter().map(|(_, methods)| methods.len()).sum();
        assert_eq!(lines, contracts.len(), "the table names methods that are not in the contracts");
    }

    #[test]
    fn each_role_may_what_its_line_says() {
        let may = |role: Role, path: &str| access(path).expect("there is such a method").admits(role);
        let submit = "/holdfast.gateway.v1.InvocationService/SubmitInvocation";
        let get = "/holdfast.state.v1.StateService/Get";
        let put = "/holdfast.state.v1.StateService/Put";
        let watch = "/holdfast.state.v1.StateService/Watch";
        let lock = "/holdfast.state.v1.StateService/AcquireLock";
        let work = "/holdfast.queue.v1.QueueService/Work";
        let circuits = "/holdfast.tool.v1.ToolService/ListCircuits";
        let capacity = "/holdfast.llm.v1.LlmService/GetCapacity";
        for (path, caller, worker, operator) in [
            (submit, true, true, true),
            (get, true, true, true),
            (put, false, true, true),
            (watch, true, true, true),
            (lock, false, true, true),
            (work, false, true, true),
            (circuits, false, false, true),
            (capacity, false, false, true),
        ] {
            assert_eq!(may(Role::Caller, path), caller, "caller {path}");
            assert_eq!(may(Role::Worker, path), worker, "worker {path}");
            assert_eq!(may(Role::Operator, path), operator, "operator {path}");
        }
    }

    #[test]
    fn what_is_the_meshs_own_passes_for_nobody() {
        for path in [
            "/holdfast.queue.v1.QueueService/Enqueue",
            "/holdfast.queue.v1.QueueService/EnqueueStream",
            "/holdfast.state.v1.StateService/RaiseFence",
        ] {
            for role in [Role::Caller, Role::Worker, Role::Operator] {
                assert!(!access(path).expect("there is such a method").admits(role), "{path}");
            }
        }
    }

    #[test]
    fn a_path_that_only_looks_like_a_method_is_none() {
        for path in [
            "",
            "/",
            "/holdfast.state.v1.StateService",
            "/holdfast.state.v1.StateService/",
            "/holdfast.state.v1.StateService/Get/",
            "//holdfast.state.v1.StateService/Get",
            "/holdfast.state.v1.StateService/get",
            "/holdfast.state.v2.StateService/Get",
        ] {
            assert_eq!(access(path), None, "{path}");
        }
    }
}
