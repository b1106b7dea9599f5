//! The wire contract as Rust types; no logic. The `.proto` files beside this crate are the source.

/// Version 1 of the order ledger's messages and service.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("orderledger.v1");
}

/// The contract of the system this one replaced: `OrderService` in the default package.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod seed {
    tonic::include_proto!("_");
}

/// The encoded `FileDescriptorSet` of every file above, for gRPC reflection.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
