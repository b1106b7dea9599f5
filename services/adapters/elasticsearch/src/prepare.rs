//! Brings templates, index and aliases to what this program needs, from whatever it finds.

use std::collections::BTreeMap;

use elasticsearch::{
    Elasticsearch,
    cluster::ClusterPutComponentTemplateParts,
    indices::{
        IndicesCreateParts, IndicesGetIndexTemplateParts, IndicesGetMappingParts,
        IndicesPutIndexTemplateParts, IndicesPutMappingParts,
    },
};
use ports::SearchError;
use serde::Deserialize;
use serde_json::json;

use crate::{
    aliases::{self, Aliases, InUse},
    answer::answer,
    schema::{Fit, Mappings, Schema, component_names, mapping_update},
};

/// Prepares what is behind the aliases. Several programs may do so at the same time.
pub(crate) async fn prepare(client: &Elasticsearch, aliases: &Aliases) -> Result<(), SearchError> {
    let schema = Schema::orders()?;
    put_templates(client, &aliases.read, &schema).await?;
    let (read, write) = match aliases.in_use(client).await? {
        InUse { read: Some(read), write: Some(write) } => (read, write),
        InUse { read: Some(read), write: None } => add_write(client, aliases, read).await?,
        InUse { read: None, write: None } => create(client, aliases).await?,
        InUse { read: None, write: Some(write) } => {
            let Aliases { read: alias, write: other } = aliases;
            return Err(SearchError::Unfit(format!(
                "index {write} has alias {other} and none has alias {alias}; add it"
            )));
        }
    };
    check(client, &read, &schema).await?;
    if write != read {
        check(client, &write, &schema).await?;
    }
    Ok(())
}

#[derive(Deserialize)]
struct IndexTemplates {
    index_templates: Vec<NamedTemplate>,
}

#[derive(Deserialize)]
struct NamedTemplate {
    index_template: VersionedTemplate,
}

#[derive(Deserialize)]
struct VersionedTemplate {
    #[serde(default)]
    version: u64,
}

/// Writes the templates unless those of this or a newer version are there.
pub(crate) async fn put_templates(
    client: &Elasticsearch,
    alias: &str,
    schema: &Schema,
) -> Result<(), SearchError> {
    let name = IndicesGetIndexTemplateParts::Name(alias);
    let found = answer(client.indices().get_index_template(name).send()).await?;
    if !found.is_missing() {
        let found: IndexTemplates = found.read()?;
        let version = found.index_templates.first().map(|found| found.index_template.version);
        if version.is_some_and(|version| version >= schema.version) {
            return Ok(());
        }
    }
    let [settings, mappings, _] = component_names(alias);
    // Mappings first: a server that does not know a type of them keeps nothing.
    for (name, body) in
        [(mappings, &schema.mappings_template), (settings, &schema.settings_template)]
    {
        let name = ClusterPutComponentTemplateParts::Name(&name);
        answer(client.cluster().put_component_template(name).body(body).send()).await?.success()?;
    }
    // Last: whoever sees its version finds the parts it is composed of.
    let name = IndicesPutIndexTemplateParts::Name(alias);
    let body = schema.index_template(alias);
    answer(client.indices().put_index_template(name).body(body).send()).await?.success()?;
    tracing::info!(template = alias, version = schema.version, "wrote the index templates");
    Ok(())
}

/// Gives the index of an earlier version, which had one alias, the other. Tells what is read and what is written.
async fn add_write(
    client: &Elasticsearch,
    aliases: &Aliases,
    index: String,
) -> Result<(String, String), SearchError> {
    aliases::update(client, &[aliases.add_write(&index)]).await?;
    tracing::info!(index, alias = aliases.write, "added the alias for writes to the search index");
    Ok((index.clone(), index))
}

/// Creates the first generation, with its aliases in the same step: there is never one without the others. Tells what is
/// read and what is written.
async fn create(
    client: &Elasticsearch,
    aliases: &Aliases,
) -> Result<(String, String), SearchError> {
    let index = aliases.index(1).name;
    let body = json!({ "aliases": aliases.both() });
    let name = IndicesCreateParts::Index(&index);
    let created = answer(client.indices().create(name).body(body).send()).await?;
    if !created.failed_with("resource_already_exists_exception") {
        created.success()?;
        tracing::info!(index, alias = aliases.read, "created the search index");
        return Ok((index.clone(), index));
    }
    // Another process was faster, or someone took the aliases away.
    match aliases.in_use(client).await? {
        InUse { read: Some(read), write: Some(write) } => Ok((read, write)),
        InUse { .. } => {
            let Aliases { read, write } = aliases;
            Err(SearchError::Unfit(format!(
                "index {index} exists without its aliases {read} and {write}; add them"
            )))
        }
    }
}

#[derive(Deserialize)]
struct Mapped {
    mappings: Mappings,
}

/// Adds the fields that an index of an older version lacks, or those of a data stream, and makes sure that all have them.
pub(crate) async fn check(
    client: &Elasticsearch,
    index: &str,
    schema: &Schema,
) -> Result<(), SearchError> {
    let lacks = lacking(client, index, schema).await?;
    if lacks.is_empty() {
        return Ok(());
    }
    let lacks = lacks.join(", ");
    let names = [index];
    let name = IndicesPutMappingParts::Index(&names);
    let body = mapping_update(schema);
    answer(client.indices().put_mapping(name).body(body).send()).await?.success()?;
    tracing::info!(index, fields = lacks, "added fields to the search index");
    let lacks = lacking(client, index, schema).await?;
    if lacks.is_empty() {
        return Ok(());
    }
    let lacks = lacks.join(", ");
    Err(SearchError::Unfit(format!("index {index} did not take the fields {lacks}")))
}

/// The fields that an index lacks, or any of those of a data stream.
async fn lacking(
    client: &Elasticsearch,
    index: &str,
    schema: &Schema,
) -> Result<Vec<String>, SearchError> {
    let mut lacks = Vec::new();
    for found in mappings(client, index).await? {
        match found.fit(&schema.mappings)? {
            Fit::Fits => {}
            Fit::Lacks(fields) => lacks.extend(fields),
        }
    }
    lacks.sort_unstable();
    lacks.dedup();
    Ok(lacks)
}

async fn mappings(client: &Elasticsearch, index: &str) -> Result<Vec<Mappings>, SearchError> {
    let names = [index];
    let name = IndicesGetMappingParts::Index(&names);
    let found = answer(client.indices().get_mapping(name).send()).await?;
    if found.is_missing() {
        // It was there a moment ago: another one has taken its place.
        return Err(SearchError::Unavailable(format!("index {index} has just been removed")));
    }
    let found: BTreeMap<String, Mapped> = found.read()?;
    if found.is_empty() {
        return Err(SearchError::Unfit(format!("index {index} has no mapping")));
    }
    Ok(found.into_values().map(|found| found.mappings).collect())
}
