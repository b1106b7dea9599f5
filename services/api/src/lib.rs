//! The gRPC service: parses, decides, appends; reads snapshots.
