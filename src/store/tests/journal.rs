//! milkrun's own tables: progress, ledger, tombstones, runs, leases.

use std::time::Duration;

use crate::ledger::Entry;
use crate::record::{Mark, Stamp};
use crate::run::{Counts, Run, Status, Trigger};
use crate::store::{Error, Lease, Opening, Start, Stream};
use crate::watermark::{Clocks, Pass, Progress, Watermark, Zone};

use super::on_every_database;
use super::world::{Plan, TEXT, World, at, stamp};

on_every_database! {
    progress_comes_back_as_it_was_kept
    progress_commits_with_its_page_or_not_at_all
    what_was_taken_is_known
    entries_are_found_by_name_and_by_key
    an_entry_that_is_there_is_not_made_a_second_time
    what_waits_for_a_run_is_seen_at_a_glance
    entries_are_stamped_alike_where_they_hold_what_came
    tombstones_are_remembered_until_they_are_settled
    refused_deletes_are_remembered_until_they_are_forgotten_by_name
    of_many_who_ask_one_gets_the_lease
    a_lease_that_ran_out_is_anybodys
    a_lease_that_was_left_is_anybodys_and_told_apart
    a_run_is_opened_and_closed_with_its_lease
    a_run_that_never_began_is_logged_whole
    a_page_without_its_lease_is_lost
    the_run_log_tells_how_runs_went
    old_runs_go_and_the_last_of_each_kind_stays
}

const NOW: &str = "2026-11-21T12:00:00Z";
const TTL: Duration = Duration::from_secs(60);

fn mark(modified: &str, name: &str) -> Option<Mark> {
    Some(Mark { modified: stamp(modified), name: name.to_owned() })
}

fn clocks(outlet: &str, hq: &str) -> Clocks {
    Clocks { outlet: at(outlet), hq: at(hq) }
}

fn far() -> Progress {
    Progress {
        watermark: Watermark {
            seen: mark("2024-05-05 10:00:00.000001", "Ice's \"cone\" 😀"),
            seen_at: Some(clocks("2026-11-21T11:00:00.123456Z", "2026-11-21T10:59:00Z")),
            settled: mark("2024-05-05 09:30:00", ""),
            settled_as_of: Some(clocks(NOW, "1970-01-01T00:00:00Z")),
            unsteady_at: Some(clocks("2026-11-20T11:00:00Z", NOW)),
            zone: Some(Zone {
                tz: chrono_tz::America::Argentina::ComodRivadavia,
                is_told: true,
                asked: clocks(NOW, NOW),
            }),
        },
        pass: Some(Pass {
            cursor: mark("2024-05-05 10:00:00", "x"),
            newest: Some(stamp("2024-05-06 10:00:00")),
            started: clocks(NOW, "2026-11-21T12:30:00Z"),
            is_repair: true,
        }),
        mapping: Some(-5),
    }
}

async fn progress_comes_back_as_it_was_kept(world: &World) {
    let store = &world.store;
    assert_eq!(store.progress("items", Stream::Records).await.unwrap(), None);
    for progress in [Progress::default(), far(), Progress { pass: None, ..far() }] {
        store.save_progress("items", Stream::Records, &progress, at(NOW)).await.unwrap();
        assert_eq!(store.progress("items", Stream::Records).await.unwrap(), Some(progress));
    }
    assert_eq!(store.progress("items", Stream::Deletes).await.unwrap(), None);
    assert_eq!(store.progress("Items", Stream::Records).await.unwrap(), None);
    let kept = store.progress("items", Stream::Records).await.unwrap().unwrap();
    assert_eq!(kept.watermark.seen.unwrap().modified.as_str(), "2024-05-05 10:00:00.000001");
    assert_eq!(kept.watermark.settled.unwrap().modified.as_str(), "2024-05-05 09:30:00", "as HQ wrote it");
    store.reset_progress("items").await.unwrap();
    assert_eq!(store.progress("items", Stream::Records).await.unwrap(), None);
}

async fn progress_commits_with_its_page_or_not_at_all(world: &World) {
    let mut tx = world.begin().await;
    tx.save_progress("items", Stream::Deletes, &far(), at(NOW)).await.unwrap();
    assert_eq!(tx.progress("items", Stream::Deletes).await.unwrap(), Some(far()));
    tx.rollback().await.unwrap();
    assert_eq!(world.store.progress("items", Stream::Deletes).await.unwrap(), None);
    let mut tx = world.begin().await;
    tx.save_progress("items", Stream::Deletes, &far(), at(NOW)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.store.progress("items", Stream::Deletes).await.unwrap(), Some(far()));
}

fn entry(name: &str, key: &str) -> Entry {
    Entry {
        hq_name: name.into(),
        local_key: key.into(),
        hq_modified: stamp("2024-05-05 10:00:00.000001"),
        row_hash: i64::MIN,
        children_hash: 7,
        base: crate::ledger::Base::Hash(1),
    }
}

async fn what_was_taken_is_known(world: &World) {
    let names: Vec<String> = (0..2345).map(|n| format!("N{n}")).collect();
    let entries: Vec<_> = names.iter().map(|name| entry(name, name)).collect();
    let mut tx = world.begin().await;
    tx.upsert_entries("items", &entries).await.unwrap();
    tx.note_absent("items", &[("gone".to_owned(), stamp("2024-01-01 00:00:00"))], at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut asked: Vec<&str> = names.iter().map(String::as_str).collect();
    asked.extend(["gone", "new"]);
    let known = world.store.known("items", &asked, true).await.unwrap();
    assert_eq!(known.len(), 2346);
    assert_eq!(known["N7"].present, Some(stamp("2024-05-05 10:00:00.000001")));
    assert_eq!((&known["gone"].present, &known["gone"].absent), (&None, &Some(stamp("2024-01-01 00:00:00"))));
    let unnoted = world.store.known("items", &asked, false).await.unwrap();
    assert_eq!((unnoted.len(), unnoted.contains_key("gone")), (2345, false));
    assert_eq!(world.store.count_entries("items").await.unwrap(), 2345);
    assert_eq!(world.store.count_entries("others").await.unwrap(), 0);
    let mut tx = world.begin().await;
    let newer = Entry { hq_modified: stamp("2025-01-01 00:00:00"), row_hash: 1, ..entry("N7", "key of 7") };
    tx.upsert_entries("items", std::slice::from_ref(&newer)).await.unwrap();
    tx.drop_entries("items", &asked[8..2300]).await.unwrap();
    assert_eq!(tx.entries("items", &["N7"], &[], false).await.unwrap(), [newer]);
    tx.commit().await.unwrap();
    assert_eq!(world.store.count_entries("items").await.unwrap(), 53);
}

async fn entries_are_found_by_name_and_by_key(world: &World) {
    let all = [entry("A", "A"), entry("B", "b"), entry("C", "A2"), entry("b", "x")];
    let mut tx = world.begin().await;
    tx.upsert_entries("items", &all).await.unwrap();
    tx.upsert_entries("others", &[entry("A", "b")]).await.unwrap();
    let of = |found: Vec<Entry>| found.into_iter().map(|entry| entry.hq_name.as_ref().to_owned()).collect::<Vec<_>>();
    assert_eq!(of(tx.entries("items", &["A", "C", "none"], &[], true).await.unwrap()), ["A", "C"]);
    assert_eq!(of(tx.entries("items", &[], &["A", "b"], true).await.unwrap()), ["A", "B"]);
    assert_eq!(of(tx.entries("items", &["b"], &["b"], true).await.unwrap()), ["B", "b"]);
    assert_eq!(tx.entries("items", &["B"], &[], true).await.unwrap(), [entry("B", "b")]);
    assert_eq!(of(tx.entries("items", &["A"], &["b"], false).await.unwrap()), ["A"], "by names alone");
    tx.commit().await.unwrap();
}

async fn an_entry_that_is_there_is_not_made_a_second_time(world: &World) {
    let mut tx = world.begin().await;
    tx.insert_entries("items", &[entry("B", "B"), entry("A", "A")]).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = world.begin().await;
    let twice = tx.insert_entries("items", &[entry("C", "C"), entry("A", "A")]).await;
    assert!(matches!(twice, Err(Error::Refused { .. })), "{twice:?}");
    tx.rollback().await.unwrap();
    assert_eq!(world.store.count_entries("items").await.unwrap(), 2);
}

async fn what_waits_for_a_run_is_seen_at_a_glance(world: &World) {
    let table = world.prepare(&Plan::new("items", &[("code", TEXT)])).await;
    let glance = async || {
        let outlook = world.store.outlook("items", &table).await.unwrap();
        (outlook.is_hollow, outlook.has_absent, outlook.has_own_keys)
    };
    assert_eq!(glance().await, (false, false, false));
    let mut tx = world.begin().await;
    tx.upsert_entries("items", &[entry("A", "A")]).await.unwrap();
    tx.upsert_entries("others", &[entry("A", "b")]).await.unwrap();
    tx.note_absent("others", &[("gone".to_owned(), stamp("2024-01-01 00:00:00"))], at(NOW))
        .await
        .unwrap();
    tx.note_buried("items", &[("gone".to_owned(), stamp("2024-01-01 00:00:00"))], at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(glance().await, (true, false, false), "no row where the ledger says that there is one");
    let mut tx = world.begin().await;
    tx.upsert_entries("items", &[entry("B", "b")]).await.unwrap();
    tx.note_absent("items", &[("gone".to_owned(), stamp("2024-01-01 00:00:00"))], at(NOW))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(glance().await, (true, true, true));
}

async fn entries_are_stamped_alike_where_they_hold_what_came(world: &World) {
    let names: Vec<String> = (0..1_234).map(|n| format!("N{n}")).collect();
    let of = |n: usize, name: &str| Entry { row_hash: i64::try_from(n).unwrap() - 600, ..entry(name, name) };
    let mut entries: Vec<Entry> = names.iter().enumerate().map(|(n, name)| of(n, name)).collect();
    entries.extend([
        Entry { row_hash: 9_001, ..entry("keyed", "another") },
        Entry { row_hash: 9_002, base: crate::ledger::Base::Unknown, ..entry("old", "old") },
        Entry { row_hash: 9_003, children_hash: 8, ..entry("parent", "parent") },
    ]);
    let mut tx = world.begin().await;
    tx.upsert_entries("items", &entries).await.unwrap();
    tx.upsert_entries("others", &entries).await.unwrap();
    tx.commit().await.unwrap();
    let new = stamp("2025-01-01 00:00:00");
    let mut came: Vec<(&str, i64)> =
        names.iter().enumerate().map(|(n, name)| (name.as_str(), n as i64 - 600)).collect();
    let mut tx = world.begin().await;
    assert!(tx.restamp_alike("items", &new, &came, 7).await.unwrap());
    tx.commit().await.unwrap();
    let stamps = world.store.stamps("items", &["N0", "N7", "N1233", "old"]).await.unwrap();
    let newer = |name| stamps[name] == new;
    assert_eq!(["N0", "N7", "N1233", "old"].map(newer), [true, true, true, false]);
    assert_ne!(world.store.stamps("others", &["N7"]).await.unwrap()["N7"], new);
    for (name, hash) in [("N7", 5), ("new", 9_000), ("keyed", 9_001), ("old", 9_002), ("parent", 9_003)] {
        came.truncate(3);
        came.push((name, hash));
        let mut tx = world.begin().await;
        assert!(!tx.restamp_alike("items", &new, &came, 7).await.unwrap(), "{name}");
        tx.rollback().await.unwrap();
    }
}

async fn tombstones_are_remembered_until_they_are_settled(world: &World) {
    let old = ("old".to_owned(), stamp("2024-01-01 00:00:00"));
    let new = ("new".to_owned(), stamp("2024-06-01 00:00:00.5"));
    let mut tx = world.begin().await;
    tx.note_absent("items", &[old.clone(), new.clone(), old.clone()], at(NOW)).await.unwrap();
    tx.note_buried("items", std::slice::from_ref(&old), at(NOW)).await.unwrap();
    tx.commit().await.unwrap();
    world.store.forget_absent_below("items", &stamp("2024-06-01 00:00:00.5")).await.unwrap();
    let known = world.store.known("items", &["old", "new"], true).await.unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(known["new"].absent, Some(new.1));
    let buried = world.store.buried("items", &["old", "new"]).await.unwrap();
    assert_eq!(buried.into_iter().collect::<Vec<_>>(), [old]);
}

async fn refused_deletes_are_remembered_until_they_are_forgotten_by_name(world: &World) {
    let (old, new) = (stamp("2024-01-01 00:00:00"), stamp("2024-06-01 00:00:00.5"));
    let note = async |names: &[(&str, &Stamp)], now: &str| {
        let names: Vec<_> = names.iter().map(|(name, stamp)| ((*name).to_owned(), (*stamp).clone())).collect();
        let mut tx = world.begin().await;
        tx.note_refused("items", &names, at(now)).await.unwrap();
        tx.forget_buried_below("items", &stamp("2030-01-01 00:00:00")).await.unwrap();
        tx.forget_absent_below("items", &stamp("2030-01-01 00:00:00")).await.unwrap();
        tx.commit().await.unwrap();
    };
    let names = async |limit| -> Vec<String> {
        let refused = world.store.refused("items", limit).await.unwrap();
        refused.into_iter().map(|(name, _)| name).collect()
    };
    note(&[("a", &old), ("b", &new), ("c", &new)], NOW).await;
    assert_eq!(names(2).await, ["a", "b"]);
    assert_eq!(world.store.refused("others", 9).await.unwrap(), []);
    // Who was tried again goes to the end of the queue.
    note(&[("a", &new)], "2026-11-21T12:05:00Z").await;
    assert_eq!(names(9).await, ["b", "c", "a"]);
    let mut tx = world.begin().await;
    tx.forget_refused("items", &["a", "c", "never"]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.store.refused("items", 9).await.unwrap(), [("b".to_owned(), new)]);
}

async fn of_many_who_ask_one_gets_the_lease(world: &World) {
    let ask = async |holder: &str| world.store.acquire_lease("items", holder, at(NOW), TTL).await.unwrap();
    let answers = tokio::join!(ask("a"), ask("b"), ask("c"), ask("d"), ask("e"), ask("f"));
    let answers = [answers.0, answers.1, answers.2, answers.3, answers.4, answers.5];
    assert_eq!(answers.iter().filter(|answer| **answer == Lease::Held).count(), 1, "{answers:?}");
    let until = at("2026-11-21T12:01:00Z");
    let is_right = |answer: &Lease| {
        *answer == Lease::Held || matches!(answer, Lease::Busy { until: found, .. } if *found == until)
    };
    assert!(answers.iter().all(is_right), "{answers:?}");
    assert_eq!(world.store.acquire_lease("others", "b", at(NOW), TTL).await.unwrap(), Lease::Held);
}

async fn a_lease_that_ran_out_is_anybodys(world: &World) {
    let store = &world.store;
    assert_eq!(store.acquire_lease("items", "a", at(NOW), TTL).await.unwrap(), Lease::Held);
    assert_eq!(store.acquire_lease("items", "a", at(NOW), TTL).await.unwrap(), Lease::Kept, "asked again");
    let later = at("2026-11-21T12:00:59Z");
    assert!(
        matches!(store.acquire_lease("items", "b", later, TTL).await.unwrap(), Lease::Busy { holder, .. } if holder == "a")
    );
    store.renew_lease("items", "a", later, TTL).await.unwrap();
    let after = at("2026-11-21T12:01:30Z");
    assert!(matches!(store.acquire_lease("items", "b", after, TTL).await.unwrap(), Lease::Busy { .. }));
    let over = at("2026-11-21T12:01:59Z");
    assert_eq!(store.acquire_lease("items", "b", over, TTL).await.unwrap(), Lease::Left);
    assert!(matches!(store.renew_lease("items", "a", over, TTL).await, Err(Error::Lost { .. })));
    store.release_lease("items", "a").await.unwrap();
    assert!(matches!(store.acquire_lease("items", "c", over, TTL).await.unwrap(), Lease::Busy { .. }));
    store.release_lease("items", "b").await.unwrap();
    assert_eq!(store.acquire_lease("items", "c", over, TTL).await.unwrap(), Lease::Held);
}

async fn a_lease_that_was_left_is_anybodys_and_told_apart(world: &World) {
    let store = &world.store;
    store.acquire_lease("items", "a", at(NOW), TTL).await.unwrap();
    store.leave_lease("items", "b").await.unwrap();
    assert!(matches!(store.acquire_lease("items", "b", at(NOW), TTL).await.unwrap(), Lease::Busy { .. }));
    store.leave_lease("items", "a").await.unwrap();
    assert_eq!(store.acquire_lease("items", "b", at(NOW), TTL).await.unwrap(), Lease::Left);
    assert_eq!(store.acquire_lease("items", "b", at(NOW), TTL).await.unwrap(), Lease::Kept);
    store.leave_lease("items", "b").await.unwrap();
    store.leave_lease("items", "b").await.unwrap();
    assert_eq!(store.acquire_lease("items", "c", at(NOW), TTL).await.unwrap(), Lease::Left);
    store.release_lease("items", "c").await.unwrap();
    assert_eq!(store.acquire_lease("items", "d", at(NOW), TTL).await.unwrap(), Lease::Held);
}

async fn a_run_is_opened_and_closed_with_its_lease(world: &World) {
    let store = &world.store;
    let start = |holder: &'static str, is_cleared| Start {
        job: "items",
        trigger: Trigger::Sync,
        started: at(NOW),
        holder,
        now: at(NOW),
        ttl: TTL,
        is_cleared,
    };
    let open = async |holder, is_cleared| store.open_run(&start(holder, is_cleared)).await.unwrap();
    let Opening::Open(first) = open("a", false).await else { panic!("it was free") };
    assert_eq!((&first.records, &first.deletes), (&None, &None));
    assert!(matches!(open("b", false).await, Opening::Busy { holder, .. } if holder == "a"));
    assert_eq!(open("a", false).await, Opening::Kept);
    assert_eq!(store.runs(None, false, 9).await.unwrap().len(), 1, "nobody else was logged");

    let mut run = store.run(first.run).await.unwrap().unwrap();
    (run.status, run.ended_at) = (Status::Ok, Some(at(NOW)));
    let kept = [(Stream::Records, &far()), (Stream::Deletes, &Progress::default())];
    let lost = store.close_run("b", &run, &kept, at(NOW)).await;
    assert!(matches!(lost, Err(Error::Lost { job }) if job == "items"));
    assert_eq!(store.progress("items", Stream::Records).await.unwrap(), None, "of who lost the lease nothing is kept");
    store.close_run("a", &run, &kept, at(NOW)).await.unwrap();
    assert_eq!(store.run(first.run).await.unwrap().unwrap(), run);

    let Opening::Open(second) = open("b", false).await else { panic!("it was given back") };
    assert_eq!((second.records, second.deletes), (Some(far()), Some(Progress::default())));
    let before = store.run(second.run).await.unwrap().unwrap().watermark_before;
    assert_eq!(before, far().watermark.seen.map(|seen| seen.to_string()));
    let Opening::Open(third) = open("b", true).await else { panic!("it was seen to") };
    assert!(third.run > second.run);
}

async fn a_run_that_never_began_is_logged_whole(world: &World) {
    let mut run = Run {
        id: 0,
        job: "items".to_owned(),
        trigger: Trigger::Schedule,
        started_at: at(NOW),
        ended_at: Some(at(NOW)),
        status: Status::Failed,
        counts: Counts::default(),
        watermark_before: None,
        watermark_after: None,
        error: Some("it waits".to_owned()),
        remedy: None,
    };
    world.store.log_run(&mut run, false).await.unwrap();
    assert_eq!(world.store.run(run.id).await.unwrap().as_ref(), Some(&run));
    let latest = async || world.store.last_runs("items").await.unwrap().unwrap().latest.id;
    assert_eq!(latest().await, run.id);
    // One that made way for another tells nothing of the job, neither while that one goes on nor afterwards.
    let long = world.store.start_run("items", Trigger::Full, at(NOW), None).await.unwrap();
    world.store.log_run(&mut run, true).await.unwrap();
    assert_eq!(world.store.run(run.id).await.unwrap().as_ref(), Some(&run));
    assert_eq!(latest().await, long);
    assert_eq!(world.store.open_run_of("items").await.unwrap().map(|run| run.id), Some(long));
    run.job = "others".to_owned();
    world.store.log_run(&mut run, true).await.unwrap();
    assert_eq!(world.store.last_runs("others").await.unwrap(), None);
}

async fn a_page_without_its_lease_is_lost(world: &World) {
    world.store.acquire_lease("items", "a", at(NOW), TTL).await.unwrap();
    let mut tx = world.begin().await;
    tx.hold_lease("items", "a", at("2026-11-21T12:05:00Z")).await.unwrap();
    // Unchanged is held, too.
    tx.hold_lease("items", "a", at("2026-11-21T12:05:00Z")).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(world.store.acquire_lease("items", "b", at("2026-11-21T12:06:00Z"), TTL).await.unwrap(), Lease::Left);
    let mut tx = world.begin().await;
    let lost = tx.hold_lease("items", "a", at("2026-11-21T12:07:00Z")).await;
    assert!(matches!(lost, Err(Error::Lost { job }) if job == "items"));
}

async fn the_run_log_tells_how_runs_went(world: &World) {
    let store = &world.store;
    let first = store.start_run("items", Trigger::Schedule, at(NOW), Some("2024-05-05 10:00:00 A")).await.unwrap();
    let second = store.start_run("items", Trigger::Full, at(NOW), None).await.unwrap();
    let other = store.start_run("groups", Trigger::Start, at(NOW), None).await.unwrap();
    assert!(first < second && second < other);
    let mut run = store.run(first).await.unwrap().unwrap();
    assert_eq!((run.status, run.ended_at, run.trigger), (Status::Running, None, Trigger::Schedule));
    assert_eq!(run.watermark_before.as_deref(), Some("2024-05-05 10:00:00 A"));
    run.status = Status::Ok;
    run.ended_at = Some(at("2026-11-21T12:00:05.25Z"));
    run.counts = Counts {
        fetched: 1,
        inserted: 2,
        updated: 3,
        unchanged: 4,
        deleted: 5,
        quarantined: 6,
        requests: 7,
        bytes: 8,
        retries: 9,
    };
    run.watermark_after = Some("x".to_owned());
    store.finish_run(&run).await.unwrap();
    assert_eq!(store.run(first).await.unwrap(), Some(run.clone()));
    assert_eq!(store.abandon_runs("items", crate::store::ABANDONED, at(NOW)).await.unwrap(), 1);
    let abandoned = store.run(second).await.unwrap().unwrap();
    assert_eq!((abandoned.status, abandoned.ended_at), (Status::Failed, Some(at(NOW))));
    assert!(abandoned.error.as_ref().is_some_and(|error| error.contains("process ended")));
    let ids = |runs: Vec<crate::run::Run>| runs.into_iter().map(|run| run.id).collect::<Vec<_>>();
    assert_eq!(ids(store.runs(None, false, 10).await.unwrap()), [other, second, first]);
    assert_eq!(ids(store.runs(Some("items"), false, 1).await.unwrap()), [second]);
    assert_eq!(ids(store.runs(None, true, 10).await.unwrap()), [second]);
    let last = store.last_runs("groups").await.unwrap().unwrap();
    assert_eq!((last.latest.id, last.good), (other, None));
    let chosen = store.start_run("items", Trigger::Name, at(NOW), None).await.unwrap();
    let last = store.last_runs("items").await.unwrap().unwrap();
    assert_eq!((last.latest, last.good), (abandoned, Some(run)), "a run of chosen records tells nothing of the rest");
    let alone = store.start_run("others", Trigger::Since, at(NOW), None).await.unwrap();
    assert_eq!(store.last_runs("others").await.unwrap().unwrap().latest.id, alone);
    assert!(alone > chosen);
    assert_eq!(store.last_runs("nothing").await.unwrap(), None);
    assert_eq!(store.run(999).await.unwrap(), None);
}

async fn old_runs_go_and_the_last_of_each_kind_stays(world: &World) {
    let store = &world.store;
    let day = |day: i64| at("2026-01-01T00:00:00Z") + chrono::TimeDelta::days(day);
    let log = async |job: &str, started_at, status| {
        let id = store.start_run(job, Trigger::Schedule, started_at, None).await.unwrap();
        let run = store.run(id).await.unwrap().unwrap();
        store.finish_run(&crate::run::Run { status, ..run }).await.unwrap();
        id
    };
    let good = log("items", day(0), Status::Quarantine).await;
    let failed = log("items", day(1), Status::Failed).await;
    for n in 2..20 {
        log("items", day(n), Status::Running).await;
    }
    let other = log("others", day(0), Status::Ok).await;
    let left = async |job| {
        let runs = store.runs(Some(job), false, 1_000).await.unwrap();
        runs.into_iter().map(|run| run.id).collect::<Vec<_>>()
    };
    let all = left("items").await;
    let keep = |since, newest| crate::store::Keep { since: day(since), newest };
    assert_eq!(store.prune_runs("items", keep(0, 20)).await.unwrap(), 0);
    // By age, then by count; each time all but the last good and the last failed.
    assert_eq!(store.prune_runs("items", keep(10, 20)).await.unwrap(), 8);
    assert_eq!(left("items").await, [&all[..10], &[failed, good]].concat());
    assert_eq!(store.prune_runs("items", keep(10, 3)).await.unwrap(), 7);
    assert_eq!(store.prune_runs("items", keep(90, 3)).await.unwrap(), 2);
    assert_eq!(left("items").await, [all[0], failed, good]);
    assert_eq!(store.prune_runs("items", keep(90, 0)).await.unwrap(), 0);
    assert_eq!(left("others").await, [other]);
}
