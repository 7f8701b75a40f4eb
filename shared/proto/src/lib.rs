//! The contracts as Rust: types, clients and servers generated from `proto/`. The clients here are the only way by
//! which one service speaks to another.

pub mod codec;

/// What callers use: submit and follow invocations.
pub mod gateway {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("holdfast.gateway.v1");
    }
}

/// Invocations and leases.
pub mod queue {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("holdfast.queue.v1");
    }
}

/// Records with versions, and the fences of leases.
pub mod state {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("holdfast.state.v1");
    }
}

/// Tools behind breakers.
pub mod tool {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("holdfast.tool.v1");
    }
}

/// Model calls that wait their turn.
pub mod llm {
    /// Version 1.
    pub mod v1 {
        tonic::include_proto!("holdfast.llm.v1");
    }
}

/// All contracts as a serialised `google.protobuf.FileDescriptorSet`, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
