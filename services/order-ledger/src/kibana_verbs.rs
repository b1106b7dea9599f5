//! `order-ledger kibana`: data views, searches and dashboards, printed or put into a Kibana.
//!
//! What they are is the crate `kibana`'s; here is how Kibana takes them, and what to do if it does not. Opens no part: the
//! configuration says the index prefix and nothing else.

mod failure;
mod server;
mod told;

use std::{
    env,
    io::{self, Write as _},
    process::ExitCode,
};

use kibana::{Names, ndjson, saved_objects};

use crate::{
    Failure,
    cli::{ImportArgs, KibanaVerb},
    client::ClientError,
    config::Config,
    kibana_verbs::{
        failure::KibanaError,
        server::{Credentials, Kibana},
        told::Told,
    },
};

/// Runs a verb.
pub(crate) async fn run(verb: KibanaVerb, config: &Config) -> Result<ExitCode, Failure> {
    let names = Names::new(&config.elasticsearch.index_prefix);
    match verb {
        KibanaVerb::Import { import: args, .. } => match import(&args, &names).await {
            Ok(told) => Ok(told.tell(args.output)?),
            Err(error) => Ok(ClientError::Refused(error.into()).report(args.output)),
        },
        KibanaVerb::Export { .. } => {
            io::stdout().write_all(ndjson(&names).as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Looks at whom it talks to before it sends anything.
async fn import(args: &ImportArgs, names: &Names) -> Result<Told, KibanaError> {
    let credentials = Credentials::from(|name| env::var(name).ok().filter(|v| !v.is_empty()))?;
    let kibana = Kibana::new(&args.url, &args.space, credentials)?;
    let version = kibana.version().await?;
    kibana.find_space().await?;
    let answer = kibana.import(ndjson(names), !args.no_overwrite).await?;
    Ok(Told::new(&kibana, version, saved_objects(names), answer))
}
