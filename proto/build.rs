//! Generates the Rust types and the descriptor set (for reflection) from the .proto files.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 6] = [
    "orderledger/v1/order.proto",
    "orderledger/v1/event.proto",
    "orderledger/v1/snapshot.proto",
    "orderledger/v1/state_changed.proto",
    "orderledger/v1/order_ledger.proto",
    "seed/order_service.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // Sorted maps, so that equal messages encode to equal bytes.
        .btree_map(".")
        .bytes(".")
        .extern_path(".google.rpc.Status", "::tonic_types::Status")
        .compile_fds(descriptors)?;
    Ok(())
}
