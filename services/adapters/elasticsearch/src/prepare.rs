//! Brings templates, index and alias to what this program needs, from whatever it finds.

use std::collections::BTreeMap;

use elasticsearch::{
    Elasticsearch,
    cluster::ClusterPutComponentTemplateParts,
    indices::{
        IndicesCreateParts, IndicesGetAliasParts, IndicesGetIndexTemplateParts,
        IndicesGetMappingParts, IndicesPutIndexTemplateParts, IndicesPutMappingParts,
    },
};
use ports::SearchError;
use serde::Deserialize;
use serde_json::json;

use crate::{
    answer::answer,
    schema::{Fit, Mappings, Schema, component_names, mapping_update},
};

/// Prepares the index behind `alias`. Several programs may do so at the same time.
pub(crate) async fn prepare(client: &Elasticsearch, alias: &str) -> Result<(), SearchError> {
    let schema = Schema::embedded()?;
    put_templates(client, alias, &schema).await?;
    let index = match write_index(client, alias).await? {
        Some(index) => index,
        None => create(client, alias).await?,
    };
    check(client, &index, &schema).await
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
async fn put_templates(
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
    for (name, body) in
        [(settings, &schema.settings_template), (mappings, &schema.mappings_template)]
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

#[derive(Deserialize)]
struct Aliased {
    aliases: BTreeMap<String, AliasOf>,
}

#[derive(Deserialize)]
struct AliasOf {
    is_write_index: Option<bool>,
}

/// The index that writes to `alias` go to; `None` if there is no such alias.
async fn write_index(client: &Elasticsearch, alias: &str) -> Result<Option<String>, SearchError> {
    let found =
        answer(client.indices().get_alias(IndicesGetAliasParts::Name(&[alias])).send()).await?;
    if found.is_missing() {
        return Ok(None);
    }
    let indices: BTreeMap<String, Aliased> = found.read()?;
    let single = indices.len() == 1;
    let mut takes_writes = indices.into_iter().filter(|(_, index)| {
        let marked = index.aliases.get(alias).and_then(|alias| alias.is_write_index);
        marked.unwrap_or(single)
    });
    match takes_writes.next() {
        Some((index, _)) => Ok(Some(index)),
        None => Err(SearchError::Unfit(format!("no index takes what is written to {alias}"))),
    }
}

/// Creates the first generation, with the alias in the same step: there is never one without the other.
async fn create(client: &Elasticsearch, alias: &str) -> Result<String, SearchError> {
    let index = format!("{alias}-g1");
    let body = json!({ "aliases": { alias: { "is_write_index": true } } });
    let name = IndicesCreateParts::Index(&index);
    let created = answer(client.indices().create(name).body(body).send()).await?;
    if !created.failed_with("resource_already_exists_exception") {
        created.success()?;
        tracing::info!(index, alias, "created the search index");
        return Ok(index);
    }
    // Another process was faster, or someone took the alias away.
    write_index(client, alias).await?.ok_or_else(|| {
        SearchError::Unfit(format!("index {index} exists without its alias {alias}; add it"))
    })
}

#[derive(Deserialize)]
struct Mapped {
    mappings: Mappings,
}

/// Adds the fields that an index of an older version lacks, and makes sure that it has them all.
async fn check(client: &Elasticsearch, index: &str, schema: &Schema) -> Result<(), SearchError> {
    let lacks = match mappings(client, index).await?.fit(&schema.mappings)? {
        Fit::Fits => return Ok(()),
        Fit::Lacks(fields) => fields.join(", "),
    };
    let names = [index];
    let name = IndicesPutMappingParts::Index(&names);
    let body = mapping_update(schema);
    answer(client.indices().put_mapping(name).body(body).send()).await?.success()?;
    tracing::info!(index, fields = lacks, "added fields to the search index");
    match mappings(client, index).await?.fit(&schema.mappings)? {
        Fit::Fits => Ok(()),
        Fit::Lacks(fields) => {
            let fields = fields.join(", ");
            Err(SearchError::Unfit(format!("index {index} did not take the fields {fields}")))
        }
    }
}

async fn mappings(client: &Elasticsearch, index: &str) -> Result<Mappings, SearchError> {
    let names = [index];
    let name = IndicesGetMappingParts::Index(&names);
    let mut found: BTreeMap<String, Mapped> =
        answer(client.indices().get_mapping(name).send()).await?.read()?;
    match found.remove(index) {
        Some(found) => Ok(found.mappings),
        None => Err(SearchError::Unfit(format!("index {index} has no mapping"))),
    }
}
