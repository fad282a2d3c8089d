"""Which moments a cron expression means: fields, time zones, and the two odd days of a year."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from accounts_app.exceptions import InvalidInput
from workflows_app.services.cron import cron_parsed

BERLIN = "Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def moments(expression: str, zone: str, after: str, count: int = 3) -> list[str]:
    """The local times that follow, each with its offset."""
    found = cron_parsed(expression, zone).upcoming(at(after), count)
    return [moment.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M %z") for moment in found]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 9 * * 1-5", ["01-05 09:00 +0000", "01-06 09:00 +0000", "01-07 09:00 +0000"]),  # the 3rd is a Saturday
        ("*/20 8 * * *", ["01-03 08:00 +0000", "01-03 08:20 +0000", "01-03 08:40 +0000"]),
        ("5,10-12 0 * * sun", ["01-04 00:05 +0000", "01-04 00:10 +0000", "01-04 00:11 +0000"]),
        ("0 0 * * 7", ["01-04 00:00 +0000", "01-11 00:00 +0000", "01-18 00:00 +0000"]),
        ("0 0 * * 5-7", ["01-04 00:00 +0000", "01-09 00:00 +0000", "01-10 00:00 +0000"]),
        ("30 6 31 * *", ["01-31 06:30 +0000", "03-31 06:30 +0000", "05-31 06:30 +0000"]),
        ("0 12 1 JAN-dec/6 *", ["07-01 12:00 +0000", "01-01 12:00 +0000", "07-01 12:00 +0000"]),
        ("@weekly", ["01-04 00:00 +0000", "01-11 00:00 +0000", "01-18 00:00 +0000"]),
        ("10-50/20 * * * *", ["01-03 00:10 +0000", "01-03 00:30 +0000", "01-03 00:50 +0000"]),
    ],
)
def test_expressions_mean_what_cron_means(expression: str, expected: list[str]) -> None:
    assert moments(expression, "UTC", "2026-01-03T00:00:00") == expected


def test_the_moment_itself_has_passed() -> None:
    cron = cron_parsed("0 9 * * *", "UTC")
    assert cron.after(at("2026-01-03T09:00:00")) == at("2026-01-04T09:00:00")
    assert cron.after(at("2026-01-03T08:59:59.999999")) == at("2026-01-03T09:00:00")


def test_a_leap_day_is_found_eight_years_ahead() -> None:
    assert cron_parsed("0 0 29 2 *", "UTC").after(at("2096-03-01T00:00:00")) == at("2104-02-29T00:00:00")


def test_the_wall_clock_holds_across_both_changes() -> None:
    assert moments("0 9 * * *", BERLIN, "2026-03-28T00:00:00") == [
        "03-28 09:00 +0100",
        "03-29 09:00 +0200",
        "03-30 09:00 +0200",
    ]
    assert moments("0 9 * * *", BERLIN, "2026-10-24T00:00:00") == [
        "10-24 09:00 +0200",
        "10-25 09:00 +0100",
        "10-26 09:00 +0100",
    ]


def test_a_time_that_spring_leaps_over_comes_as_much_later() -> None:
    assert moments("30 2 * * *", BERLIN, "2026-03-28T00:00:00") == [
        "03-28 02:30 +0100",
        "03-29 03:30 +0200",
        "03-30 02:30 +0200",
    ]


def test_two_times_that_spring_makes_one_come_once() -> None:
    assert moments("0 2,3 * * *", BERLIN, "2026-03-29T00:00:00") == [
        "03-29 03:00 +0200",
        "03-30 02:00 +0200",
        "03-30 03:00 +0200",
    ]


def test_a_time_that_autumn_has_twice_comes_once_the_first_time() -> None:
    assert moments("30 2 * * *", BERLIN, "2026-10-24T12:00:00") == [
        "10-25 02:30 +0200",
        "10-26 02:30 +0100",
        "10-27 02:30 +0100",
    ]


def test_every_hour_is_every_real_hour() -> None:
    assert moments("0 * * * *", BERLIN, "2026-10-24T23:30:00", 4) == [
        "10-25 02:00 +0200",
        "10-25 02:00 +0100",
        "10-25 03:00 +0100",
        "10-25 04:00 +0100",
    ]
    assert moments("0 * * * *", BERLIN, "2026-03-29T00:30:00", 2) == ["03-29 03:00 +0200", "03-29 04:00 +0200"]


def test_offsets_of_half_hours_count_too() -> None:
    assert moments("0 * * * mon", "Asia/Kolkata", "2026-01-04T17:00:00", 2) == [
        "01-05 00:00 +0530",
        "01-05 01:00 +0530",
    ]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "Write five fields"),
        ("* * * *", "Write five fields"),
        ("* * * * * *", "Write five fields"),
        ("60 * * * *", "“60” is no minute: give numbers from 0 to 59"),
        ("* 24 * * *", "“24” is no hour"),
        ("* * 0 * *", "“0” is no day of the month"),
        ("* * * 13 *", "“13” is no month"),
        ("* * * * 8", "“8” is no day of the week"),
        ("* * * * funday", "“funday” is no day of the week"),
        ("-1 * * * *", "“-1” is no minute"),
        ("30-10 * * * *", "“30-10” is no minute"),
        ("*/0 * * * *", "“*/0” is no minute"),
        ("5/15 * * * *", "A step needs a range"),
        ("1,,2 * * * *", "“” is no minute"),
        ("١ * * * *", "is no minute"),
        ("0 9 1 * 1", "Name days of the month or days of the week, not both"),
        ("0 0 31 2 *", "This time never comes."),
    ],
)
def test_what_is_wrong_is_said(expression: str, said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        cron_parsed(expression, "UTC")
    assert said in refused.value.message
    assert refused.value.details[0].field == "cron"


@pytest.mark.parametrize("zone", ["", "Europe/Atlantis", "../../etc/passwd", "CEST"])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        cron_parsed("0 9 * * *", zone)
    assert refused.value.details[0].field == "timezone"


@given(
    moment=st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2035, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    expression=st.sampled_from(["* * * * *", "*/7 * * * *", "30 2 * * *", "15 */3 1 * *", "0 1-3 * * sun"]),
    zone=st.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Cairo"]),
)
def test_moments_come_in_order_and_none_is_left_out(moment: datetime, expression: str, zone: str) -> None:
    cron = cron_parsed(expression, zone)
    first, second = cron.upcoming(moment, 2)
    assert moment < first < second
    halfway = first + (second - first) / 2
    assert cron.after(halfway) == second


def test_what_is_wrong_is_said_in_chinese() -> None:
    with translation.override("zh-hans"), pytest.raises(InvalidInput) as refused:
        cron_parsed("60 * * * *", "UTC")
    assert "60" in refused.value.message
