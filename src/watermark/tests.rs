use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::*;

fn stamp(text: &str) -> Stamp {
    Stamp::parse(text).unwrap()
}

fn mark(text: &str, name: &str) -> Mark {
    Mark { modified: stamp(text), name: name.to_owned() }
}

/// A moment at which both clocks agree.
fn at(text: &str) -> Clocks {
    apart(text, text)
}

fn apart(outlet: &str, hq: &str) -> Clocks {
    let read = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    Clocks { outlet: read(outlet), hq: read(hq) }
}

fn told(tz: Tz) -> Zone {
    Zone { tz, is_told: true, asked: at("2024-05-05T00:00:00Z") }
}

const OVERLAP: Duration = Duration::from_secs(30 * 60);

/// Something seen at 05:00 UTC, 10:30 in Kolkata, and settled half an hour below.
fn begun() -> Watermark {
    Watermark {
        seen: Some(mark("2024-05-05 10:30:00", "x")),
        seen_at: Some(at("2024-05-05T05:00:00Z")),
        settled: Some(mark("2024-05-05 09:55:00", "")),
        settled_as_of: Some(at("2024-05-05T05:00:00Z")),
        unsteady_at: None,
        zone: Some(told(Tz::Asia__Kolkata)),
    }
}

/// The watermark after an idle poll at `now`.
fn idle(watermark: &Watermark, now: Clocks) -> Watermark {
    let begun = watermark.resume(now, watermark.zone.unwrap());
    begun.settle(&begun, now, None, OVERLAP)
}

fn height(watermark: &Watermark) -> Option<Stamp> {
    watermark.settled.as_ref().map(|mark| mark.modified.clone())
}

#[test]
fn a_page_moves_seen_forward_and_never_back() {
    let now = stamp("2024-05-05 12:00:00").moment();
    let first = Watermark::default().after(&mark("2024-05-05 10:00:00", "b"), at("2024-05-05T05:00:00Z"), now);
    assert_eq!(first.seen, Some(mark("2024-05-05 10:00:00", "b")));
    let lower = first.after(&mark("2024-05-05 09:59:59.999999", "z"), at("2024-05-05T05:01:00Z"), now);
    assert_eq!(lower, first);
    // Within one stamp HQ's own order counts, whatever the bytes say.
    let same = first.after(&mark("2024-05-05 10:00:00", "A"), at("2024-05-05T05:01:00Z"), now);
    assert_eq!(same.seen, Some(mark("2024-05-05 10:00:00", "A")));
}

#[test]
fn a_stamp_of_the_future_does_not_move_it() {
    let now = stamp("2024-05-05 12:00:00").moment();
    let moved = Watermark::default().after(&mark("2024-05-05 12:02:00", "a"), at("2024-05-05T06:30:00Z"), now);
    assert_eq!(moved, Watermark::default());
}

#[test]
fn settled_trails_the_newest_stamp_known_when_the_run_began() {
    let seen = Watermark { seen: Some(mark("2024-05-05 13:00:00", "x")), ..Watermark::default() };
    let begun = Watermark { zone: Some(told(Tz::Asia__Kolkata)), ..Watermark::default() };
    // A long run: HQ's newest was 12:00 when it began, 13:00 when it ended. Something stamped 12:10 may have been
    // committed at 12:35, after the run had passed its place.
    let newest = stamp("2024-05-05 12:00:00");
    let settled = seen.settle(&begun, at("2024-05-05T06:30:00Z"), Some(&newest), OVERLAP);
    assert_eq!(settled.settled, Some(mark("2024-05-05 11:25:00", "")));
    // An hour more where the zone is only believed: it may have another summer.
    let begun = Watermark { zone: Some(Zone { is_told: false, ..told(Tz::Asia__Kolkata) }), ..Watermark::default() };
    let settled = seen.settle(&begun, at("2024-05-05T06:30:00Z"), Some(&newest), OVERLAP);
    assert_eq!(settled.settled, Some(mark("2024-05-05 10:25:00", "")));
}

#[test]
fn a_quiet_hq_comes_to_rest_once_the_overlap_has_gone_by() {
    let early = idle(&begun(), at("2024-05-05T05:29:58Z"));
    assert_eq!(early.settled, begun().settled);
    let later = idle(&early, at("2024-05-05T05:30:00Z"));
    assert_eq!(later.settled, begun().seen);
    // And it stays there.
    assert_eq!(idle(&later, at("2024-05-06T05:30:00Z")).settled, begun().seen);
}

#[test]
fn an_outlets_clock_that_jumps_ahead_settles_nothing_early() {
    for outlet in ["2024-05-05T08:00:00Z", "2031-01-01T00:00:00Z"] {
        let jumped = idle(&begun(), apart(outlet, "2024-05-05T05:01:00Z"));
        assert!(height(&jumped) <= height(&begun()), "{:?}", jumped.settled);
    }
    // Nor in steps too small to be noticed.
    let crept = idle(&begun(), apart("2024-05-05T05:30:00Z", "2024-05-05T05:26:00Z"));
    assert_eq!(crept.settled, begun().settled);
}

#[test]
fn an_outlets_clock_that_jumps_back_blocks_nothing_for_ever() {
    let back = idle(&begun(), apart("1970-01-01T00:00:10Z", "2024-05-05T05:10:00Z"));
    assert_eq!(back.settled, begun().settled);
    let later = idle(&back, apart("1970-01-01T00:30:10Z", "2024-05-05T05:40:00Z"));
    assert_eq!(later.settled, begun().seen);
}

#[test]
fn the_clock_of_a_machine_that_slept_without_one_has_nothing_listed_from_the_beginning() {
    let woken = idle(&begun(), apart("1970-01-01T00:00:10Z", "2024-05-05T05:10:00Z"));
    let mended = woken.resume(at("2024-05-05T05:11:00Z"), told(Tz::Asia__Kolkata));
    assert_eq!(mended.settled, begun().settled);
}

#[test]
fn the_start_goes_back_with_hqs_clock_until_it_has_caught_up() {
    let settled = idle(&begun(), at("2024-05-05T05:30:00Z"));
    // HQ's clock was an hour ahead and is set right; the outlet's goes on.
    let back = settled.resume(apart("2024-05-05T05:40:00Z", "2024-05-05T04:40:00Z"), told(Tz::Asia__Kolkata));
    assert_eq!(back.settled, Some(mark("2024-05-05 09:55:00", "")));
    let back = settled.resume(apart("2024-05-05T05:40:00Z", "2024-05-05T04:00:00Z"), told(Tz::Asia__Kolkata));
    assert_eq!(back.settled, Some(mark("2024-05-05 09:15:00", "")));
    // Half an hour later HQ still stamps below what was seen, so that does not settle.
    let later = idle(&back, apart("2024-05-05T06:20:00Z", "2024-05-05T04:40:00Z"));
    assert!(height(&later) < Some(stamp("2024-05-05 10:30:00")), "{:?}", later.settled);
    let past = idle(&later, apart("2024-05-05T06:50:00Z", "2024-05-05T05:10:00Z"));
    assert_eq!(idle(&past, apart("2024-05-05T07:20:00Z", "2024-05-05T05:40:00Z")).settled, begun().seen);
}

#[test]
fn a_clock_of_hqs_that_was_set_back_unseen_overnight_is_noticed_by_its_shorter_night() {
    let settled = idle(&begun(), at("2024-05-05T05:30:00Z"));
    let morning = settled.resume(apart("2024-05-05T17:30:00Z", "2024-05-05T14:30:00Z"), told(Tz::Asia__Kolkata));
    assert_eq!(morning.settled, Some(mark("2024-05-05 07:55:00", "")));
}

#[test]
fn a_clock_that_passed_the_end_of_summer_time_and_was_set_back_before_it_is_followed() {
    // Looked at 00:50 UTC; HQ stamped 02:00 to 02:10 for the second time before it was set back to 00:55.
    let begun = autumn("2025-10-26T00:50:00Z");
    let back = begun.resume(apart("2025-10-26T01:15:00Z", "2025-10-26T01:00:00Z"), told(Tz::Europe__Berlin));
    let earlier = begun.resume(apart("2025-10-26T01:10:00Z", "2025-10-26T00:40:00Z"), told(Tz::Europe__Berlin));
    for resumed in [back, earlier] {
        assert_eq!(resumed.settled, Some(mark("2025-10-26 01:59:59", "")));
    }
}

#[test]
fn a_zone_that_hq_moved_west_has_the_start_go_back() {
    let settled = idle(&begun(), at("2024-05-05T05:30:00Z"));
    let zone = told(Tz::Europe__Berlin);
    let moved = settled.resume(at("2024-05-05T06:00:00Z"), zone);
    // HQ was last asked at midnight UTC, 02:00 in Berlin.
    assert_eq!(moved.settled, Some(mark("2024-05-05 01:55:00", "")));
    assert_eq!(settled.resume(at("2024-05-05T06:00:00Z"), told(Tz::Asia__Kolkata)).settled, settled.settled);
}

#[test]
fn a_zone_that_was_left_after_the_end_of_its_summer_time_is_followed_through_both() {
    let begun = autumn("2025-10-26T00:50:00Z");
    let asked = Zone { asked: at("2025-10-26T00:50:00Z"), ..told(Tz::Europe__Berlin) };
    let begun = Watermark { zone: Some(asked), ..begun };
    let moved = begun.resume(at("2025-10-26T12:00:00Z"), told(Tz::Australia__Lord_Howe));
    assert_eq!(moved.settled, Some(mark("2025-10-26 01:59:59", "")));
}

fn autumn(as_of: &str) -> Watermark {
    Watermark {
        seen: Some(mark("2025-10-26 02:59:59", "x")),
        seen_at: Some(at("2025-10-26T00:59:59Z")),
        settled: Some(mark("2025-10-26 02:59:59", "x")),
        settled_as_of: Some(at(as_of)),
        unsteady_at: None,
        zone: Some(told(Tz::Europe__Berlin)),
    }
}

#[test]
fn the_start_goes_back_with_the_clocks_in_autumn_until_the_hour_is_settled() {
    let start = |as_of: &str, now: &str| {
        autumn(as_of).resume(at(now), told(Tz::Europe__Berlin)).settled.unwrap().modified.to_string()
    };
    // Clocks go from 03:00 back to 02:00 at 01:00 UTC.
    assert_eq!(start("2025-10-26T00:59:59Z", "2025-10-26T01:10:00Z"), "2025-10-26 01:59:59");
    assert_eq!(start("2025-10-26T00:59:59Z", "2025-10-30T12:00:00Z"), "2025-10-26 01:59:59");
    assert_eq!(start("2025-10-26T03:00:00Z", "2025-10-30T12:00:00Z"), "2025-10-26 02:59:59");
    // In spring, and where there is no daylight saving, it stays.
    let spring = Watermark {
        settled: Some(mark("2025-03-30 01:59:59", "x")),
        settled_as_of: Some(at("2025-03-30T00:59:59Z")),
        ..autumn("2025-03-30T00:59:59Z")
    };
    let stays = spring.resume(at("2025-03-30T05:00:00Z"), told(Tz::Europe__Berlin));
    assert_eq!(stays.settled.unwrap().name, "x");
}

#[test]
fn every_autumn_since_is_gone_back_to_after_years_of_silence() {
    let old = Watermark {
        settled: Some(mark("2021-10-31 02:30:00", "x")),
        settled_as_of: Some(at("2021-10-31T00:20:00Z")),
        ..autumn("2021-10-31T00:20:00Z")
    };
    let start = old.resume(at("2026-11-01T00:00:00Z"), told(Tz::Europe__Berlin)).settled.unwrap();
    assert_eq!(start.modified.to_string(), "2021-10-31 01:59:59");
}

#[test]
fn a_late_commit_across_the_spring_hour_is_not_settled_over() {
    // Stamped 01:50 at 00:50 UTC, committed 03:15 at 01:15 UTC; a run at 03:10 must not settle above it.
    let begun = Watermark {
        seen: Some(mark("2025-03-30 01:55:00", "x")),
        seen_at: Some(at("2025-03-30T00:55:00Z")),
        settled: Some(mark("2025-03-30 01:20:00", "")),
        settled_as_of: Some(at("2025-03-30T00:55:00Z")),
        unsteady_at: None,
        zone: Some(told(Tz::Europe__Berlin)),
    };
    let now = at("2025-03-30T01:10:00Z");
    let newest = stamp("2025-03-30 03:09:00");
    let read = begun.after(&Mark { modified: newest.clone(), name: "y".to_owned() }, now, newest.moment());
    let settled = read.settle(&begun, now, Some(&newest), OVERLAP).settled.unwrap();
    assert_eq!(settled, mark("2025-03-30 01:35:00", ""));
}

#[test]
fn that_all_is_as_it_was_is_kept_now_and_then_and_anything_else_at_once() {
    let progress = |watermark: &Watermark| Progress { watermark: watermark.clone(), ..Progress::default() };
    let resting = idle(&begun(), at("2024-05-05T08:00:00Z"));
    let kept = progress(&resting);
    assert!(!kept.says_more_than(&kept));
    let later = |now| progress(&idle(&resting, now));
    assert!(!later(at("2024-05-05T08:09:59Z")).says_more_than(&kept));
    assert!(later(at("2024-05-05T08:10:00Z")).says_more_than(&kept));
    // A clock that was set is news by itself.
    assert!(later(apart("2024-05-05T08:01:00Z", "2024-05-05T07:51:00Z")).says_more_than(&kept));
    assert!(progress(&Watermark { settled_as_of: None, ..resting.clone() }).says_more_than(&kept));
    assert!(progress(&Watermark { seen_at: None, ..resting.clone() }).says_more_than(&kept));
    assert!(Progress { mapping: Some(1), ..kept.clone() }.says_more_than(&kept));
}
