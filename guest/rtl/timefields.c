/* SPDX-License-Identifier: Apache-2.0 */
/* System time and the calendar: 100 ns since 1601-01-01, a Monday, of the Gregorian calendar. There are no leap seconds. */
#include "../include/nt/rtl.h"

#include "../include/export.h"

#define TIME_MILLISECOND  10000LL
#define TIME_SECOND       (1000 * TIME_MILLISECOND)
#define TIME_DAY          (86400 * TIME_SECOND)
#define TIME_FIRST_YEAR   1601
#define TIME_DAYS_400     146097
#define TIME_DAYS_TO_1970 134774
#define TIME_DAYS_TO_1980 138426
#define TIME_MONDAY       1 /* the first day's, Sunday being 0 */

/* Days of the months before one, March being the first: the leap day comes last. */
static ULONG RtlpDaysBeforeMonth(ULONG march_month) {
    return (153 * march_month + 2) / 5;
}

/* Days from 1601-01-01. A year begins in March here, and is counted from 1600-03-01, which is 306 days earlier. */
static LONG64 RtlpDays(ULONG year, ULONG month, ULONG day) {
    ULONG march_month = (month + 9) % 12;
    LONG64 years = (LONG64)year - 1600 - (month < 3 ? 1 : 0);
    return years * 365 + years / 4 - years / 100 + years / 400 + RtlpDaysBeforeMonth(march_month) + day - 1 - 306;
}

static ULONG RtlpDaysInMonth(ULONG year, ULONG month) {
    return (ULONG)(RtlpDays(month == 12 ? year + 1 : year, month % 12 + 1, 1) - RtlpDays(year, month, 1));
}

VOID NTAPI RtlTimeToTimeFields(PLARGE_INTEGER Time, PTIME_FIELDS TimeFields) {
    ULONG64 time = (ULONG64)Time->QuadPart;
    ULONG64 days = time / TIME_DAY;
    ULONG64 rest = time % TIME_DAY / TIME_MILLISECOND;
    TimeFields->Milliseconds = (CSHORT)(rest % 1000);
    TimeFields->Second = (CSHORT)(rest / 1000 % 60);
    TimeFields->Minute = (CSHORT)(rest / 60000 % 60);
    TimeFields->Hour = (CSHORT)(rest / 3600000);
    TimeFields->Weekday = (CSHORT)((days + TIME_MONDAY) % 7);
    ULONG64 since = days + 306; /* days since 1600-03-01, in periods of 400 years */
    ULONG64 period = since / TIME_DAYS_400;
    ULONG64 day = since % TIME_DAYS_400;
    ULONG64 year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    ULONG day_of_year = (ULONG)(day - (365 * year + year / 4 - year / 100));
    ULONG march_month = (5 * day_of_year + 2) / 153;
    ULONG month = march_month < 10 ? march_month + 3 : march_month - 9;
    TimeFields->Day = (CSHORT)(day_of_year - RtlpDaysBeforeMonth(march_month) + 1);
    TimeFields->Month = (CSHORT)month;
    TimeFields->Year = (CSHORT)(1600 + period * 400 + year + (month < 3 ? 1 : 0));
}
NT_EXPORT(RtlTimeToTimeFields);

BOOLEAN NTAPI RtlTimeFieldsToTime(PTIME_FIELDS TimeFields, PLARGE_INTEGER Time) {
    const TIME_FIELDS *f = TimeFields;
    BOOLEAN clock = f->Hour >= 0 && f->Hour < 24 && f->Minute >= 0 && f->Minute < 60 && f->Second >= 0 &&
        f->Second < 60 && f->Milliseconds >= 0 && f->Milliseconds < 1000;
    if (!clock || f->Year < TIME_FIRST_YEAR || f->Month < 1 || f->Month > 12 || f->Day < 1 ||
        (ULONG)f->Day > RtlpDaysInMonth((ULONG)f->Year, (ULONG)f->Month)) {
        return FALSE;
    }
    LONG64 seconds = f->Hour * 3600LL + f->Minute * 60LL + f->Second;
    Time->QuadPart = RtlpDays((ULONG)f->Year, (ULONG)f->Month, (ULONG)f->Day) * TIME_DAY + seconds * TIME_SECOND +
        f->Milliseconds * TIME_MILLISECOND;
    return TRUE;
}
NT_EXPORT(RtlTimeFieldsToTime);

static BOOLEAN RtlpToSeconds(const LARGE_INTEGER *time, LONG64 days, PULONG seconds) {
    LONG64 since = (time->QuadPart - days * TIME_DAY) / TIME_SECOND;
    if (time->QuadPart < days * TIME_DAY || since > MAXULONG) {
        return FALSE;
    }
    *seconds = (ULONG)since;
    return TRUE;
}

BOOLEAN NTAPI RtlTimeToSecondsSince1970(PLARGE_INTEGER Time, PULONG ElapsedSeconds) {
    return RtlpToSeconds(Time, TIME_DAYS_TO_1970, ElapsedSeconds);
}
NT_EXPORT(RtlTimeToSecondsSince1970);

BOOLEAN NTAPI RtlTimeToSecondsSince1980(PLARGE_INTEGER Time, PULONG ElapsedSeconds) {
    return RtlpToSeconds(Time, TIME_DAYS_TO_1980, ElapsedSeconds);
}
NT_EXPORT(RtlTimeToSecondsSince1980);

VOID NTAPI RtlSecondsSince1970ToTime(ULONG ElapsedSeconds, PLARGE_INTEGER Time) {
    Time->QuadPart = TIME_DAYS_TO_1970 * TIME_DAY + ElapsedSeconds * TIME_SECOND;
}
NT_EXPORT(RtlSecondsSince1970ToTime);

VOID NTAPI RtlSecondsSince1980ToTime(ULONG ElapsedSeconds, PLARGE_INTEGER Time) {
    Time->QuadPart = TIME_DAYS_TO_1980 * TIME_DAY + ElapsedSeconds * TIME_SECOND;
}
NT_EXPORT(RtlSecondsSince1980ToTime);

/* Local time is UTC here. */
static VOID NTAPI RtlpSameTime(PLARGE_INTEGER from, PLARGE_INTEGER to) {
    *to = *from;
}
NT_EXPORT_AS(RtlpSameTime, ExSystemTimeToLocalTime);
NT_EXPORT_AS(RtlpSameTime, ExLocalTimeToSystemTime);
