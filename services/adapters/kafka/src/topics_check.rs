//! What makes a topic fit: nothing in it is lost, reordered or forgotten. Pure; asking the cluster is done elsewhere.

use ports::{Topic, TopicSettings};

use crate::topics::Layout;

/// A topic as the cluster has it.
pub(crate) struct Found<'a> {
    pub(crate) topic: Topic,
    pub(crate) name: &'a str,
    pub(crate) layout: Layout,
    pub(crate) settings: &'a [(String, String)],
}

impl Found<'_> {
    fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// The settings that a new topic with so many replicas gets.
pub(crate) fn settings_of_new(topic: Topic, replicas: u16) -> Vec<(&'static str, String)> {
    // State changes can be derived again: they are kept for consumers that were away for a while.
    let retention = match topic {
        Topic::Events => "-1",
        Topic::StateChanged => "2592000000",
    };
    let mut settings = vec![
        ("cleanup.policy", "delete".to_owned()),
        ("retention.ms", retention.to_owned()),
        ("retention.bytes", "-1".to_owned()),
        ("compression.type", "producer".to_owned()),
        ("unclean.leader.election.enable", "false".to_owned()),
    ];
    settings.push(("min.insync.replicas", in_sync(replicas).to_string()));
    settings
}

/// How many replicas must hold a record before it is acknowledged: one may be away, if there are others.
const fn in_sync(replicas: u16) -> u16 {
    if replicas > 1 { replicas - 1 } else { 1 }
}

/// Checks a topic against what the log promises and against what the operator asked for.
///
/// # Errors
/// What is wrong, and how to mend it.
pub(crate) fn check(found: &Found<'_>, wanted: TopicSettings) -> Result<(), String> {
    let Found { topic, name, layout, .. } = found;
    if let Some(partitions) = wanted.partitions
        && partitions != layout.partitions
    {
        return Err(format!(
            "the topic {name} has {} partitions, {partitions} were expected: orders would move between partitions; {}",
            layout.partitions,
            match topic {
                Topic::Events => "configure the number that it was created with",
                Topic::StateChanged =>
                    "it must have as many as the topic of events: delete it, it is made anew",
            }
        ));
    }
    expect(found, "cleanup.policy", "delete", "records would be forgotten")?;
    if *topic == Topic::Events {
        expect(found, "retention.ms", "-1", "old events would be lost")?;
        expect(found, "retention.bytes", "-1", "old events would be lost")?;
    }
    if layout.replicas > 1 {
        let lost = "acknowledged events could be lost";
        expect(found, "unclean.leader.election.enable", "false", lost)?;
    } else {
        tracing::warn!(
            topic = name,
            "the topic has one replica: what is acknowledged is kept by one machine alone"
        );
    }
    check_in_sync(found)
}

fn check_in_sync(found: &Found<'_>) -> Result<(), String> {
    let Some(given) = found.setting("min.insync.replicas") else { return Ok(()) };
    let replicas = found.layout.replicas;
    let in_sync: u16 = given.parse().unwrap_or(0);
    if in_sync > replicas {
        return Err(wrong(
            found,
            "min.insync.replicas",
            given,
            &self::in_sync(replicas).to_string(),
            &format!("with {replicas} replicas nothing could ever be acknowledged"),
        ));
    }
    if replicas >= 3 && in_sync < 2 {
        let lost = "an acknowledged record could be lost with a single machine";
        return Err(wrong(found, "min.insync.replicas", given, "2", lost));
    }
    Ok(())
}

fn expect(found: &Found<'_>, name: &str, value: &str, otherwise: &str) -> Result<(), String> {
    match found.setting(name) {
        Some(given) if given != value => Err(wrong(found, name, given, value, otherwise)),
        // A broker that does not know a setting does not act on it.
        Some(_) | None => Ok(()),
    }
}

fn wrong(found: &Found<'_>, name: &str, given: &str, value: &str, otherwise: &str) -> String {
    let topic = found.name;
    format!(
        "the topic {topic} has {name}={given}: {otherwise}; mend it with kafka-configs --alter --entity-type topics \
         --entity-name {topic} --add-config {name}={value}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: TopicSettings = TopicSettings { partitions: Some(6), replication: None };

    /// Checks a topic as it would be created, with some settings changed.
    fn checked(topic: Topic, replicas: u16, changed: &[(&str, &str)]) -> Result<(), String> {
        let mut settings: Vec<_> = settings_of_new(topic, replicas)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        for (name, value) in changed {
            let setting = settings.iter_mut().find(|(found, _)| found == name).unwrap();
            (*value).clone_into(&mut setting.1);
        }
        let layout = Layout { partitions: 6, replicas };
        check(&Found { topic, name: "t", layout, settings: &settings }, WANTED)
    }

    #[test]
    fn what_is_made_is_fit() {
        for topic in Topic::ALL {
            for replicas in 1..=5 {
                checked(topic, replicas, &[]).unwrap();
            }
        }
    }

    #[test]
    fn what_loses_events_is_not() {
        for (replicas, setting, value) in [
            (1, "cleanup.policy", "compact"),
            (1, "cleanup.policy", "compact,delete"),
            (1, "retention.ms", "604800000"),
            (1, "retention.bytes", "1000"),
            (3, "unclean.leader.election.enable", "true"),
            (3, "min.insync.replicas", "1"),
            (3, "min.insync.replicas", "4"),
        ] {
            let why = checked(Topic::Events, replicas, &[(setting, value)]).unwrap_err();
            assert!(why.contains(&format!("{setting}={value}")), "{why}");
            assert!(why.contains(&format!("--add-config {setting}=")), "{why}");
        }
    }

    #[test]
    fn what_is_derived_may_expire_but_not_be_compacted() {
        checked(Topic::StateChanged, 1, &[("retention.ms", "1000")]).unwrap();
        checked(Topic::StateChanged, 1, &[("cleanup.policy", "compact")]).unwrap_err();
    }

    #[test]
    fn orders_stay_in_their_partitions() {
        let layout = Layout { partitions: 12, replicas: 1 };
        let found = Found { topic: Topic::Events, name: "t", layout, settings: &[] };
        let why = check(&found, WANTED).unwrap_err();
        assert!(why.contains("has 12 partitions, 6 were expected"), "{why}");
        check(&found, TopicSettings { partitions: None, replication: None }).unwrap();
    }
}
