"""The day that a file without dates stands for."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime

from offers_kit import written

from sublet.catalog.loaders.dating import when_of

TABLE = """# Sources

| file | rows | commit | date |
|---|---|---|---|
| 2024-05-01/azure.csv | 3 | 9da9775 (file last changed c2f2f01 2023-12-08) | 2024-05-01 |
| 2024-05-01/aws.csv | 3 | 9da9775 | 2024-05-01 |
| daily.csv | 3 | x | 2026-07-05..2026-08-10 |
| v8-undated/oci.csv | 3 | 0588 | not known |
"""


def days(when):
    return date.fromordinal(when.first), date.fromordinal(when.last), when.undated


def touched(path, day):
    stamp = datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp()
    os.utime(path, (stamp, stamp))
    return path


def test_the_callers_word_goes_first(tmp_path):
    path = written(tmp_path, "2024-05-01/aws.csv", "x")
    assert days(when_of(path, date(2020, 1, 1))) == (date(2020, 1, 1), date(2020, 1, 1), False)


def test_the_nearest_date_of_the_path_counts(tmp_path):
    path = written(tmp_path, "2024-05-01/gpu/prices_2024-06-02.csv", "x")
    assert days(when_of(path)) == (date(2024, 6, 2), date(2024, 6, 2), False)
    assert days(when_of(written(tmp_path, "2024-05-01/aws.csv", "x")))[1] == date(2024, 5, 1)


def test_a_table_of_sources_knows_when_the_file_last_changed(tmp_path):
    written(tmp_path, "SOURCES.md", TABLE)
    changed = when_of(written(tmp_path, "2024-05-01/azure.csv", "x"))
    assert days(changed) == (date(2023, 12, 8), date(2024, 5, 1), False)
    assert days(when_of(written(tmp_path, "2024-05-01/aws.csv", "x")))[0] == date(2024, 5, 1)
    assert days(when_of(written(tmp_path, "daily.csv", "x")))[1] == date(2026, 8, 10)


def test_without_any_date_the_files_own_day_stands_in_and_is_marked(tmp_path):
    written(tmp_path, "SOURCES.md", TABLE)
    path = touched(written(tmp_path, "v8-undated/oci.csv", "x"), date(2025, 9, 9))
    assert days(when_of(path)) == (date(2025, 9, 9), date(2025, 9, 9), True)


def test_the_day_of_a_skypilot_download_is_its_date(tmp_path):
    path = touched(written(tmp_path, ".sky/catalogs/v7/aws/vms.csv", "x"), date(2025, 9, 9))
    assert days(when_of(path)) == (date(2025, 9, 9), date(2025, 9, 9), False)


def test_an_impossible_date_is_passed_over(tmp_path):
    path = touched(written(tmp_path, "2024-13-45/aws.csv", "x"), date(2025, 9, 9))
    assert days(when_of(path)) == (date(2025, 9, 9), date(2025, 9, 9), True)
