//! Times of schedules, and texts that are none.

use super::*;

fn at(year: i64, month: u32, of_month: u32, hour: i64, minute: i64) -> Minute {
    day(year, month, of_month) * DAY + hour * 60 + minute
}

fn latest(text: &str, after: Minute, until: Minute) -> Option<Minute> {
    text.parse::<Schedule>().unwrap().latest(after, until)
}

#[test]
fn a_date_is_the_day_it_was_made_of() {
    assert_eq!((date(0), day(1970, 1, 1)), ((1970, 1, 1), 0));
    assert_eq!(date(day(2000, 2, 29)), (2000, 2, 29));
    let mut last = day(1960, 1, 1) - 1;
    for year in 1960..2110 {
        for (month, length) in (1..).zip(LENGTHS) {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            for of_month in 1..=if month == 2 && !leap { 28 } else { length } {
                let this = day(year, month, of_month);
                assert_eq!((this, date(this)), (last + 1, (year, month, of_month)));
                last = this;
            }
        }
    }
}

#[test]
fn the_last_time_is_found_and_none_that_is_over() {
    let monday = at(2026, 11, 23, 8, 30);
    for (text, then) in [
        ("30 8 * * *", Some(monday)),
        ("*/15 * * * *", Some(monday)),
        ("0 6 * * *", Some(at(2026, 11, 23, 6, 0))),
        ("0 9 * * *", Some(at(2026, 11, 22, 9, 0))),
        ("0 0 * * sun", Some(at(2026, 11, 22, 0, 0))),
        ("0 0 * * 7", Some(at(2026, 11, 22, 0, 0))),
        ("5-10/2,59 23 * * 5-6", Some(at(2026, 11, 21, 23, 59))),
        ("0 12 1 * *", Some(at(2026, 11, 1, 12, 0))),
        ("0 12 1 * Thu", Some(at(2026, 11, 19, 12, 0))),
        ("0 12 */31 * Thu", Some(at(2026, 10, 1, 12, 0))),
        ("0 0 29 feb *", Some(at(2024, 2, 29, 0, 0))),
        ("10/20 7 * * *", Some(at(2026, 11, 23, 7, 50))),
        ("@hourly", Some(at(2026, 11, 23, 8, 0))),
        ("@midnight", Some(at(2026, 11, 23, 0, 0))),
        ("@weekly, @monthly", Some(at(2026, 11, 22, 0, 0))),
        ("@yearly", Some(at(2026, 1, 1, 0, 0))),
        ("@startup", None),
        ("", None),
    ] {
        assert_eq!(latest(text, at(2016, 1, 1, 0, 0), monday), then, "{text}");
    }
    assert_eq!(latest("30 8 * * *", monday, monday), None, "its time is over");
    assert_eq!(latest("30 8 * * *", monday - 1, monday), Some(monday));
    assert_eq!(latest("@daily", monday, monday + 5), None);
    assert_eq!(latest("@daily", monday, monday - 60), None, "the clock was set back");
    assert_eq!(latest("@daily", i64::MIN, monday), Some(at(2026, 11, 23, 0, 0)));
    assert!("@daily,@STARTUP".parse::<Schedule>().unwrap().is_at_start());
}

#[test]
fn what_is_no_schedule_is_refused() {
    let long = format!("0 0 {} * *", "1,".repeat(200));
    for text in [
        "daily",
        "@fortnightly",
        "@daily,",
        "@daily 0 0 * * *",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "-1 * * * *",
        "+1 * * * *",
        "1-0 * * * *",
        "*/0 * * * *",
        "*/ * * * *",
        "*/300 * * * *",
        "1,,2 * * * *",
        "1-2-3 * * * *",
        "a * * * *",
        "0 0 31 2 *",
        "0 0 31 4,6 *",
        "0 0 30 feb *",
        "é * * * *",
        "99999999999 * * * *",
        "0 0 * * *\n",
        &long,
    ] {
        let error = text.parse::<Schedule>().unwrap_err();
        assert_eq!(error.kind, Kind::InvalidConfig, "{text}");
        assert!(error.message.len() < 400 && !error.message.contains('\n'), "{error}");
    }
}
