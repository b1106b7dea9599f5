//! What Kibana is given: every field that it names is there and fit for its use, objects refer to what there is, and the
//! file in `infra/kibana` is what the definitions say.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails panics")]

mod fields;
mod mappings;
mod objects;

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
