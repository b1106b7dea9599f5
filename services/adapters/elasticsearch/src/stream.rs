//! What the data streams have in common: made if they are missing, refreshed, searched.

use elasticsearch::{
    Elasticsearch, SearchParts,
    indices::{IndicesCreateDataStreamParts, IndicesGetDataStreamParts, IndicesRefreshParts},
};
use ports::SearchError;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    answer::{answer, ask},
    prepare,
    schema::Schema,
};

/// What a search found.
#[derive(Deserialize)]
pub(crate) struct Hit {
    #[serde(rename = "_id")]
    pub(crate) id: String,
    /// Only if it was asked for.
    #[serde(rename = "_source", default)]
    pub(crate) source: Value,
}

#[derive(Deserialize)]
struct Answered {
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    hits: Vec<Hit>,
}

/// Searches see what was refreshed; afterwards they see every answered write.
pub(crate) async fn refresh(client: &Elasticsearch, stream: &str) -> Result<(), SearchError> {
    let stream = [stream];
    let refresh = IndicesRefreshParts::Index(&stream);
    answer(client.indices().refresh(refresh).send()).await?.success()?;
    Ok(())
}

pub(crate) async fn find(
    client: &Elasticsearch,
    stream: &str,
    body: Value,
) -> Result<Vec<Hit>, SearchError> {
    let stream = [stream];
    let search = || {
        let search = client.search(SearchParts::Index(&stream)).body(&body);
        search.allow_partial_search_results(false).send()
    };
    let answered: Answered = ask(search).await?.read()?;
    Ok(answered.hits.hits)
}

/// Makes the stream and its templates if they are missing, and adds the fields that its indices lack. Several programs may
/// do so at the same time.
pub(crate) async fn prepare(
    client: &Elasticsearch,
    stream: &str,
    schema: &Schema,
) -> Result<(), SearchError> {
    prepare::put_templates(client, stream, schema).await?;
    if !is_there(client, stream).await? {
        let name = IndicesCreateDataStreamParts::Name(stream);
        let created = answer(client.indices().create_data_stream(name).send()).await?;
        // Another process may have been faster.
        if is_there(client, stream).await? {
            tracing::info!(stream, "created the data stream");
        } else {
            created.success()?;
        }
    }
    prepare::check(client, stream, schema).await
}

async fn is_there(client: &Elasticsearch, stream: &str) -> Result<bool, SearchError> {
    let names = [stream];
    let get = IndicesGetDataStreamParts::Name(&names);
    let found = answer(client.indices().get_data_stream(get).send()).await?;
    if found.is_missing() {
        return Ok(false);
    }
    found.success()?;
    Ok(true)
}
