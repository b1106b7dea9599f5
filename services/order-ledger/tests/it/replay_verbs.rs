//! `order-ledger replay` beside a running process, on embedded parts: what is built, what is seen of it, what is left.

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use testkit::wait_for;
use tokio::{process::Child, sync::watch, task::JoinSet};

use crate::{
    by_hand::Said,
    client::{order_of, place},
    folder::{Folder, order},
    process::{PATIENCE, Process},
};

/// The last line of a replay that reports in JSON.
fn replayed(said: Said) -> Value {
    let last: Value = serde_json::from_str(said.done().lines().last().unwrap()).unwrap();
    last["replayed"].clone()
}

/// Number and stage of every generation.
async fn stages(folder: &Folder) -> Vec<(u64, String)> {
    let status = folder.json(&["replay", "status"]).await;
    let generations = status["generations"].as_array().unwrap().iter();
    generations
        .map(|one| (one["generation"].as_u64().unwrap(), one["stage"].as_str().unwrap().to_owned()))
        .collect()
}

fn expected(stages: &[(u64, &str)]) -> Vec<(u64, String)> {
    stages.iter().map(|(number, stage)| (*number, (*stage).to_owned())).collect()
}

#[tokio::test]
async fn replays_beside_a_process_under_load_lose_nothing_and_stop_no_one() {
    let folder = Arc::new(Folder::new());
    let steps = ["pay", "prepare", "ship", "deliver", "complete"];
    let timers: Vec<_> =
        steps.iter().map(|step| format!("--fulfilment-{step}-after=50ms")).collect();
    let mut serve =
        folder.serve("replayed", &timers.iter().map(String::as_str).collect::<Vec<_>>());
    serve.ready().await;
    let (_server_tx, server) = watch::channel(serve.grpc().await);
    let enough = Arc::new(AtomicBool::new(false));
    let mut placers = JoinSet::new();
    for placer in 0..2_usize {
        let (server, enough) = (server.clone(), Arc::clone(&enough));
        placers.spawn(async move {
            let mut placed = 0_u64;
            for n in (placer..).step_by(2) {
                if enough.load(Ordering::Relaxed) {
                    break;
                }
                place(&server, order_of("replayed", n)).await;
                placed += 1;
                // Some customers' worth, not as many as the machine can take: each has six mails.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            placed
        });
    }
    for generation in 2..=3 {
        let live = replayed(folder.run(&["replay", "--output", "json"]).await);
        assert_eq!((&live["generation"], &live["live"]), (&json!(generation), &json!(true)));
        assert_eq!(live["verified"]["differences"], 0);
    }
    let back = replayed(folder.run(&["replay", "rollback", "--output", "json"]).await);
    assert_eq!((&back["generation"], &back["live"]), (&json!(2), &json!(true)));
    let all = [(2, "live"), (3, "retired")];
    assert_eq!(stages(&folder).await, expected(&all));
    enough.store(true, Ordering::Relaxed);
    let placed: u64 = placers.join_all().await.into_iter().sum();

    // The process that was beside it all goes on as if nothing had been.
    let through = wait_for("every order is completed", PATIENCE, async || {
        let found = folder.verified().await;
        (found["applied"] == 6 * placed).then_some(found)
    });
    let found = through.await;
    assert_eq!((&found["orders"], &found["documents"]), (&json!(placed), &json!(placed)));
    assert_eq!((&found["rejected"], &found["dead_letters"]), (&json!(0), &json!(0)));
    let mails = folder.mailed().await;
    serve.stop().await;
    let again = replayed(folder.run(&["replay", "--output", "json"]).await);
    assert_eq!(
        (&again["verified"]["orders"], &again["search"]["documents"]),
        (&json!(placed), &json!(placed))
    );
    let state = replayed(folder.run(&["replay", "--only", "state", "--output", "json"]).await);
    assert_eq!((&state["live"], &state["search"]), (&json!(true), &json!(null)));
    let serve = folder.serving("replayed-again").await;
    folder.verified().await;
    serve.stop().await;
    assert_eq!(folder.mailed().await, mails, "a replay sends no mail");
}

/// A ledger in which whatever is built is born paused, so that there is time to look at it.
async fn paused(name: &str) -> (Folder, Process) {
    let folder = Folder::new();
    let mut serve = folder.serving(name).await;
    folder.place(&serve.grpc().await).await;
    let paused = "CREATE TRIGGER paused AFTER INSERT ON generations
                  BEGIN UPDATE generations SET wanted = 'pause' WHERE number = NEW.number; END";
    folder.sql("state.db", paused).await;
    (folder, serve)
}

fn begin(folder: &Folder, verb: &[&str]) -> Child {
    folder.command(verb).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Starts a replay, and waits until it does.
async fn waiting(folder: &Folder, generation: u64) -> (Child, Value) {
    let running = begin(folder, &["replay"]);
    let replay = wait_for("the replay waits", PATIENCE, async || {
        let status = folder.json(&["replay", "status"]).await;
        let replay = &status["replay"];
        (replay["generation"] == generation && replay["report"]["paused"] == true)
            .then(|| replay.clone())
    });
    (running, replay.await)
}

async fn end(running: Child) -> Said {
    running.wait_with_output().await.unwrap().into()
}

#[tokio::test]
async fn a_replay_is_looked_at_and_goes_on() {
    let (folder, serve) = paused("resumed").await;
    let (running, replay) = waiting(&folder, 2).await;
    assert_eq!((&replay["running"], &replay["wanted"]), (&json!(true), &json!("pause")));
    assert_eq!((&replay["report"]["phase"], &replay["percent"]), (&json!("loading"), &json!(0)));
    let shown = folder.run(&["replay", "status"]).await.done();
    let waits = "generation 2 is worked on, loading: 0%, paused: `order-ledger replay resume`";
    assert!(shown.contains(waits) && shown.contains("lag"), "{shown}");
    for verb in [&["replay"][..], &["replay", "remove", "1"], &["replay", "rollback"]] {
        let refusal = folder.refusal(verb).await;
        assert!(refusal.contains("replay is running"), "{refusal}");
    }
    let following = folder.command(&["replay", "status", "--follow"]).output();
    let resumed = folder.run(&["replay", "resume"]).await.done();
    assert!(resumed.contains("generation 2 goes on"), "{resumed}");
    let said = end(running).await;
    assert!(said.stderr.contains("generation 2, verifying"), "{}", said.stderr);
    assert!(said.done().contains("generation 2 is live, at "));
    assert!(following.await.unwrap().status.success());
    folder.verified().await;
    serve.stop().await;
}

/// However long it waits for the next record to be due, it says how far it is and hears what is wanted.
#[tokio::test]
async fn a_replay_keeps_to_its_rate_and_is_heard_meanwhile() {
    let folder = Folder::new();
    let mut serve = folder.serving("slow").await;
    let server = serve.grpc().await;
    for _ in 0..20 {
        folder.place(&server).await;
    }
    let refused = folder.run(&["replay", "--rate", "0"]).await;
    assert!(refused.code == 2 && refused.stderr.contains("records a second"), "{}", refused.stderr);
    let running = begin(&folder, &["replay", "--rate", "1"]);
    wait_for("the replay waits for the next record to be due", PATIENCE, async || {
        let report = &folder.json(&["replay", "status"]).await["replay"]["report"];
        (report["records"].as_u64()? > 0 && report["seconds"].as_f64()? > 1.0).then_some(())
    })
    .await;
    folder.run(&["replay", "cancel"]).await.done();
    let said = end(running).await;
    assert!(said.code == 1 && said.stderr.contains("generation 2 is removed"), "{}", said.stderr);
    let whole = folder.run(&["replay", "--rate", "max"]).await.done();
    assert!(whole.contains("is live, at "), "{whole}");
    folder.verified().await;
    serve.stop().await;
}

#[tokio::test]
async fn a_replay_that_is_cancelled_or_interrupted_leaves_the_live_generation_as_it_is() {
    let (folder, serve) = paused("interrupted").await;
    for verb in ["pause", "resume", "cancel"] {
        let refusal = folder.refusal(&["replay", verb]).await;
        assert!(refusal.contains("no replay is running"), "{refusal}");
    }
    let (running, _) = waiting(&folder, 2).await;
    folder.run(&["replay", "pause"]).await.done();
    let cancelled = folder.run(&["replay", "cancel"]).await.done();
    assert!(cancelled.contains("generation 2 ends"), "{cancelled}");
    let said = end(running).await;
    let removed = "generation 2 is removed, the live one is as it was";
    assert!(said.code == 1 && said.stderr.contains(removed), "{}", said.stderr);
    assert_eq!(stages(&folder).await, expected(&[(1, "live")]));

    let (running, _) = waiting(&folder, 2).await;
    let pid = running.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let said = end(running).await;
    let stopped = "the live generation is as it was; the next";
    assert!(said.code == 1 && said.stderr.contains(stopped), "{}", said.stderr);
    let left = folder.run(&["replay", "status"]).await.done();
    assert!(left.contains("generation 2 was left by a replay that was interrupted"), "{left}");
    let refusal = folder.refusal(&["replay", "resume"]).await;
    assert!(refusal.contains("the one that built generation 2 was interrupted"), "{refusal}");
    // Both say what the next replay does.
    let removes = "`order-ledger replay` removes it";
    assert!(left.contains(removes) && refusal.contains(removes), "{left}{refusal}");
    folder.sql("state.db", "DROP TRIGGER paused").await;
    folder.run(&["replay"]).await.done();
    assert_eq!(stages(&folder).await, expected(&[(1, "retired"), (2, "live")]));
    folder.verified().await;
    serve.stop().await;
}

#[tokio::test]
async fn a_generation_of_the_past_is_looked_into_and_removed() {
    let folder = Folder::new();
    let mut serve = folder.serving("past").await;
    let server = serve.grpc().await;
    let (one, other) = (folder.place(&server).await, folder.place(&server).await);
    let id = &one.to_string();
    let applied = order(&server, &["pay", id, "--wait", "--output", "json"]).await.done();
    let paid: Value = serde_json::from_str(&applied).unwrap();
    let partition = &paid["position"]["partition"];
    let offset = paid["position"]["offset"].as_u64().unwrap();
    for step in ["prepare", "cancel"] {
        order(&server, &[step, id, "--wait"]).await.done();
    }

    let until = format!("{partition}={offset}");
    let said = folder.run(&["replay", "--until", &until]).await.done();
    assert!(said.contains("generation 2 is kept, at ") && said.contains("replay show 2"), "{said}");
    let state = async |generation: &str| {
        let shown = folder.json(&["replay", "show", generation, id]).await;
        shown["order"]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (state("2").await, state("1").await),
        ("ORDER_STATE_PLACED".into(), "ORDER_STATE_CANCELLED".into())
    );
    let said = folder.run(&["replay", "--only", "search", "--no-swap"]).await;
    assert!(said.stderr.contains("leave the other flags out"), "{}", said.stderr);
    assert_eq!(said.code, 2);
    let indexed = folder.run(&["replay", "--only", "search"]).await.done();
    let built = "2 documents in the new search index, 0 refused\nthe search index is built anew from generation 1\n";
    assert_eq!(indexed, built);

    let whole = folder.json(&["replay", "show", "1"]).await;
    assert_eq!(whole["states"], json!({ "Placed": 1, "Cancelled": 1 }));
    assert_eq!(whole["sums"][0]["total_minor"], 2 * 41_980);
    let shown = folder.run(&["replay", "show", "1"]).await.done();
    assert!(
        shown.starts_with("generation 1, live, at 0=") && shown.contains("CLP 83960"),
        "{shown}"
    );
    let history = folder.json(&["replay", "show", "1", id, "--history"]).await;
    assert_eq!(history["entries"].as_array().unwrap().len(), 4);
    let shown = folder.run(&["replay", "show", "1", "--in-state", "placed"]).await.done();
    assert!(shown.contains(&other.to_string()) && !shown.contains(id.as_str()), "{shown}");

    let now = folder.run(&["replay", "--until", "2999-01-01"]).await.done();
    assert!(now.contains("generation 3 is kept"), "{now}");
    let kept = folder.json(&["replay", "status"]).await;
    assert_eq!((&kept["generations"][2]["kept"], &kept["replay"]), (&json!(true), &json!(null)));
    assert_eq!(state("3").await, "ORDER_STATE_CANCELLED");
    let then = folder.run(&["replay", "--until", "2026-01-01T00:00:00Z", "--no-swap"]).await.done();
    assert!(then.contains("generation 4 is kept"), "{then}");
    let refusal = folder.refusal(&["replay", "show", "4", id]).await;
    assert!(refusal.contains("generation 4 has no order"), "{refusal}");
    let live = folder.run(&["replay", "--from-generation", "2"]).await.done();
    assert!(live.contains("generation 2 is live"), "{live}");
    assert_eq!(state("2").await, "ORDER_STATE_CANCELLED");
    for generation in ["1", "3", "4"] {
        let removed = folder.run(&["replay", "remove", generation]).await.done();
        assert_eq!(removed, format!("generation {generation} is removed\n"));
    }
    let refusal = folder.refusal(&["replay", "remove", "2"]).await;
    assert!(refusal.contains("generation 2 is live and can't be removed"), "{refusal}");
    for verb in [&["remove", "3"][..], &["show", "3"], &["rollback"]] {
        let refusal = folder.refusal(&[&["replay"], verb].concat()).await;
        assert!(refusal.contains("there is no "), "{refusal}");
    }
    folder.verified().await;
    serve.stop().await;
}

#[tokio::test]
async fn what_another_fold_made_is_replayed_if_that_is_wanted() {
    let folder = Folder::new();
    let mut serve = folder.serving("fold").await;
    folder.place(&serve.grpc().await).await;
    serve.stop().await;
    let other_fold = async |live: &str| {
        folder
            .sql("state.db", "UPDATE generations SET fold_version = 999 WHERE stage = 'live'")
            .await;
        folder.sql(live, "UPDATE progress SET fold_version = 999").await;
    };
    other_fold("state.db").await;

    let (status, log) = folder.serve("refused", &[]).end().await;
    assert_eq!(status.code(), Some(1), "{log}");
    let last = log.lines().last().unwrap();
    assert!(last.starts_with("order-ledger: the state store does not fit this log: "), "{log}");
    assert!(
        last.contains("version 999 of the fold") && last.ends_with("run `order-ledger replay`"),
        "{last}"
    );

    let mut serve = folder.serve("replays", &["--replay-if-needed"]);
    serve.ready().await;
    assert_eq!(serve.says("replayed: the new generation is live").await["generation"], 2);
    let again = folder.place(&serve.grpc().await).await;
    assert_eq!(folder.verified().await["orders"], 2);
    serve.stop().await;

    other_fold("state-g2.db").await;
    folder.run(&["replay"]).await.done();
    let shown = folder.run(&["replay", "show", "2", &again.to_string()]).await;
    assert!(shown.stderr.contains("only a program of that version reads it"), "{}", shown.stderr);
    // There is nothing to replay: the flag changes nothing.
    let mut serve = folder.serve("needless", &["--replay-if-needed"]);
    serve.ready().await;
    folder.verified().await;
    assert_eq!(stages(&folder).await, expected(&[(2, "retired"), (3, "live")]));
    serve.stop().await;
}

#[tokio::test]
async fn there_must_be_something_to_look_at() {
    let folder = Folder::new();
    for verb in [&["replay"][..], &["replay", "status"], &["dead-letters", "list"], &["verify"]] {
        let refusal = folder.refusal(verb).await;
        assert!(
            refusal.contains("there is no ledger") && refusal.lines().count() == 1,
            "{refusal}"
        );
    }
    assert!(!folder.data().exists(), "looking made it");
}

/// The rows of the live generation are made to be those of another fold, which had cancelled nothing.
#[tokio::test]
async fn what_another_fold_would_change_is_told_before_it_counts() {
    let folder = Folder::new();
    let mut serve = folder.serving("differing").await;
    let server = serve.grpc().await;
    let order_id = folder.place(&server).await.to_string();
    folder.place(&server).await;
    order(&server, &["cancel", &order_id, "--wait"]).await.done();
    folder.verified().await;
    serve.stop().await;
    let diff = async || {
        let said = folder.run(&["replay", "--no-swap", "--diff", "--output", "json"]).await.done();
        let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        last["diff"].clone()
    };
    let same = diff().await;
    assert_eq!(same["ends_otherwise"], 0, "{same}");

    let rejected = format!(
        "UPDATE order_history SET outcome = 'rejected', reason = 'IllegalTransition', from_state = 'Placed',
             to_state = 'Placed'
         WHERE order_id = '{order_id}' AND event = 'OrderCancelled'"
    );
    assert_eq!(folder.sql("state.db", &rejected).await, 1);
    let unreadable = format!("UPDATE orders SET snapshot = x'ff' WHERE order_id = '{order_id}'");
    assert_eq!(folder.sql("state.db", &unreadable).await, 1);
    let diff = diff().await;
    assert_eq!((&diff["orders"], &diff["ends_otherwise"]), (&json!(2), &json!(1)), "{diff}");
    assert_eq!((&diff["would_send"], &diff["would_not_send"]), (&json!(1), &json!(0)), "{diff}");
    let example = &diff["examples"][0];
    assert_eq!(example["order_id"], order_id);
    assert_eq!(
        (&example["live"]["state"], &example["new"]["state"]),
        (&json!("Placed"), &json!("Cancelled"))
    );
    assert_eq!(example["parts_at"]["event"], "OrderCancelled");
    let told = folder.run(&["replay", "--no-swap", "--diff"]).await.done();
    for line in [
        "1 of 2 orders would end in another state or with other sums",
        "1 OrderCancelled were rejected (IllegalTransition) and would be applied",
        "mails: would send 1, would not send 0",
    ] {
        assert!(told.contains(line), "{told}");
    }
}
