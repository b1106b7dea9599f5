//! The two aliases of an installation, what is behind them, and moving them.
//!
//! They are two so that writes can go to another index before reads come from it. Each is on one index at any time.

use std::collections::BTreeMap;

use elasticsearch::{Elasticsearch, indices::IndicesGetAliasParts};
use ports::SearchError;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::answer;

/// What the aliases are called.
#[derive(Clone, Debug)]
pub(crate) struct Aliases {
    /// Documents are read under it. Templates and indices have names that begin with it.
    pub(crate) read: String,
    /// Documents are written under it.
    pub(crate) write: String,
}

/// Where the aliases are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct InUse {
    /// The index that is read.
    pub(crate) read: Option<String>,
    /// The index that is written.
    pub(crate) write: Option<String>,
}

/// An index of ours by its name, `…-gN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) number: u32,
}

#[derive(Deserialize)]
struct Aliased {
    aliases: BTreeMap<String, Value>,
}

impl Aliases {
    pub(crate) fn new(read: String) -> Self {
        let write = format!("{read}-write");
        Self { read, write }
    }

    /// What the index of that number is called.
    pub(crate) fn index(&self, number: u32) -> Named {
        Named { name: format!("{}-g{number}", self.read), number }
    }

    /// The aliases as an index is created with them.
    pub(crate) fn both(&self) -> Value {
        json!({ self.read.as_str(): {}, self.write.as_str(): { "is_write_index": true } })
    }

    /// Adds the alias for reads to an index.
    pub(crate) fn add_read(&self, index: &str) -> Value {
        json!({ "add": { "index": index, "alias": self.read } })
    }

    /// Adds the alias for writes to an index. Elasticsearch refuses to have two that are marked like this.
    pub(crate) fn add_write(&self, index: &str) -> Value {
        json!({ "add": { "index": index, "alias": self.write, "is_write_index": true } })
    }

    /// Takes the alias for writes off an index.
    pub(crate) fn remove_write(&self, index: &str) -> Value {
        json!({ "remove": { "index": index, "alias": self.write } })
    }

    /// Finds both aliases, as of one instant.
    ///
    /// # Errors
    /// [`SearchError::Unfit`] if one of them is on more than one index.
    pub(crate) async fn in_use(&self, client: &Elasticsearch) -> Result<InUse, SearchError> {
        // By a pattern: names that are not there would be an error, and two questions two instants.
        let pattern = format!("{}*", self.read);
        let names = [pattern.as_str()];
        let get = IndicesGetAliasParts::Name(&names);
        let found = answer(client.indices().get_alias(get).send()).await?;
        if found.is_missing() {
            return Ok(InUse::default());
        }
        let found: BTreeMap<String, Aliased> = found.read()?;
        let only = |alias: &str| {
            let mut on = found.iter().filter(|(_, index)| index.aliases.contains_key(alias));
            let first = on.next().map(|(index, _)| index.clone());
            match on.next() {
                None => Ok(first),
                Some((second, _)) => Err(SearchError::Unfit(format!(
                    "alias {alias} is on more than one index, {second} among them: take it off all but one"
                ))),
            }
        };
        Ok(InUse { read: only(&self.read)?, write: only(&self.write)? })
    }

    /// Every index that is called like one of ours, by number.
    pub(crate) async fn indices(&self, client: &Elasticsearch) -> Result<Vec<Named>, SearchError> {
        let pattern = format!("{}-g*", self.read);
        let names = [pattern.as_str()];
        let get = IndicesGetAliasParts::Index(&names);
        let found = answer(client.indices().get_alias(get).send()).await?;
        if found.is_missing() {
            return Ok(Vec::new());
        }
        let found: BTreeMap<String, Aliased> = found.read()?;
        let mut named: Vec<_> = found.into_keys().filter_map(|name| self.named(name)).collect();
        named.sort_unstable_by_key(|index| index.number);
        Ok(named)
    }

    /// The index of that name, if it is called like one of ours.
    pub(crate) fn named(&self, name: String) -> Option<Named> {
        let number = name.strip_prefix(&self.read)?.strip_prefix("-g")?.parse().ok()?;
        Some(Named { name, number })
    }
}

#[derive(Deserialize)]
struct Acknowledged {
    acknowledged: bool,
}

/// Carries out all of these actions, or none of them.
///
/// # Errors
/// [`SearchError::Unavailable`] also if some node may not know of it yet: it would still go by what was before.
pub(crate) async fn update(client: &Elasticsearch, actions: &[Value]) -> Result<(), SearchError> {
    let indices = client.indices();
    let update = indices.update_aliases().body(json!({ "actions": actions })).send();
    let Acknowledged { acknowledged } = answer(update).await?.read()?;
    if acknowledged {
        return Ok(());
    }
    Err(SearchError::Unavailable("not every node knows yet where the aliases are".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_are_known_by_their_number() {
        let aliases = Aliases::new("eu-orders".to_owned());
        let named = |name: &str| aliases.named(name.to_owned()).map(|index| index.number);
        assert_eq!(named("eu-orders-g12"), Some(12));
        assert_eq!(named(&aliases.index(7).name), Some(7));
        for other in ["eu-orders", "eu-orders-write", "eu-orders-gold", "orders-g1", "eu-orders-g"]
        {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
