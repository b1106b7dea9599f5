//! An index built beside the one in use, `…-gN`. The aliases move to it: first the one for writes, then the one for reads.

use async_trait::async_trait;
use elasticsearch::{
    Elasticsearch,
    indices::{IndicesCreateParts, IndicesDeleteParts, IndicesRefreshParts},
};
use ports::{IndexOutcome, NewIndex, OrderDocument, SearchError, SearchGenerations};

use crate::{
    ElasticsearchIndex,
    aliases::{self, Aliases, Named},
    answer::answer,
    bulk::{self, Target},
    prepare,
    schema::Schema,
};

#[async_trait]
impl SearchGenerations for ElasticsearchIndex {
    async fn create(&self) -> Result<Box<dyn NewIndex>, SearchError> {
        // Without its template an index would guess its fields.
        let schema = Schema::orders()?;
        prepare::put_templates(&self.client, &self.aliases.read, &schema).await?;
        let in_use = self.aliases.in_use(&self.client).await?;
        let mut newest = 0;
        for index in self.aliases.indices(&self.client).await? {
            newest = newest.max(index.number);
            if ![&in_use.read, &in_use.write].contains(&&Some(index.name.clone())) {
                delete(&self.client, &index.name).await?;
            }
        }
        // Never a number that was there a moment ago: whoever still fills that index must not find this one.
        let index = self.aliases.index(newest.saturating_add(1));
        let create = IndicesCreateParts::Index(&index.name);
        answer(self.client.indices().create(create).send()).await?.success()?;
        prepare::check(&self.client, &index.name, &schema).await?;
        tracing::info!(index = index.name, "created a search index beside the one in use");
        Ok(self.new_index(index))
    }

    async fn unfinished(&self) -> Result<Option<Box<dyn NewIndex>>, SearchError> {
        let in_use = self.aliases.in_use(&self.client).await?;
        let written = in_use.write.filter(|written| in_use.read.as_ref() != Some(written));
        let Some(written) = written else { return Ok(None) };
        match self.aliases.named(written) {
            Some(index) => Ok(Some(self.new_index(index))),
            None => Err(SearchError::Unfit(format!(
                "alias {} is on another index than alias {}, and not one of this program's",
                self.aliases.write, self.aliases.read
            ))),
        }
    }
}

impl ElasticsearchIndex {
    fn new_index(&self, index: Named) -> Box<dyn NewIndex> {
        Box::new(ElasticsearchNewIndex {
            client: self.client.clone(),
            aliases: self.aliases.clone(),
            index,
            bulk_bytes_max: self.options.bulk_bytes_max,
        })
    }
}

struct ElasticsearchNewIndex {
    client: Elasticsearch,
    aliases: Aliases,
    index: Named,
    bulk_bytes_max: usize,
}

#[async_trait]
impl NewIndex for ElasticsearchNewIndex {
    async fn upsert(&self, documents: &[OrderDocument]) -> Result<Vec<IndexOutcome>, SearchError> {
        let target = Target::Index(&self.index.name);
        bulk::write(&self.client, target, documents, self.bulk_bytes_max).await
    }

    async fn take_writes(&self) -> Result<(), SearchError> {
        let former = self.aliases.in_use(&self.client).await?.write;
        let former = former.filter(|former| *former != self.index.name);
        let mut actions: Vec<_> =
            former.iter().map(|former| self.aliases.remove_write(former)).collect();
        actions.push(self.aliases.add_write(&self.index.name));
        aliases::update(&self.client, &actions).await?;
        tracing::info!(index = self.index.name, former, "a new search index takes writes");
        Ok(())
    }

    async fn take_reads(&self) -> Result<(), SearchError> {
        let Named { name, number } = &self.index;
        // What was written is found from the first search on, as it was in the former.
        let names = [name.as_str()];
        let refresh = IndicesRefreshParts::Index(&names);
        answer(self.client.indices().refresh(refresh).send()).await?.success()?;
        let in_use = self.aliases.in_use(&self.client).await?;
        let mut former: Vec<_> = in_use.read.into_iter().chain(in_use.write).collect();
        // Newer ones are someone else's who has begun meanwhile.
        let older = self.aliases.indices(&self.client).await?.into_iter();
        former.extend(older.filter(|index| index.number < *number).map(|index| index.name));
        former.retain(|former| former != name);
        former.sort_unstable();
        former.dedup();
        let mut actions = vec![self.aliases.add_read(name), self.aliases.add_write(name)];
        actions.extend(
            former.iter().map(|former| serde_json::json!({ "remove_index": { "index": former } })),
        );
        aliases::update(&self.client, &actions).await?;
        let former = former.join(", ");
        tracing::info!(index = name, former, "a new search index is in use, the former is gone");
        Ok(())
    }

    async fn remove(&self) -> Result<(), SearchError> {
        let in_use = self.aliases.in_use(&self.client).await?;
        if [in_use.read, in_use.write].contains(&Some(self.index.name.clone())) {
            return Ok(());
        }
        delete(&self.client, &self.index.name).await
    }
}

/// Deletes an index that is not in use, if it is there.
async fn delete(client: &Elasticsearch, index: &str) -> Result<(), SearchError> {
    let names = [index];
    let delete = IndicesDeleteParts::Index(&names);
    let deleted = answer(client.indices().delete(delete).send()).await?;
    if !deleted.is_missing() {
        deleted.success()?;
        tracing::info!(index, "removed a search index that was not in use");
    }
    Ok(())
}
