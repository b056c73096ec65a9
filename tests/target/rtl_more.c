/* SPDX-License-Identifier: Apache-2.0 */
/* The rest of the run-time library: bitmaps, calendar, versions, UTF-8; small questions about the machine; the end of it. */
#include <ntddk.h>

#include <dirqltest.h>

/* In mingw's ntifs.h, or not at all. */
NTSYSAPI BOOLEAN NTAPI RtlTimeToSecondsSince1970(PLARGE_INTEGER Time, PULONG ElapsedSeconds);
NTSYSAPI ULONG NTAPI RtlRandomEx(PULONG Seed);

TARGET_CASE("RTL-5", bitmaps, "cpus=1 mode=mt") {
    ULONG words[3] = {0, 0, 0};
    RTL_BITMAP map;
    RTL_BITMAP_RUN runs[2];
    ULONG start;
    RtlInitializeBitMap(&map, words, 70);
    RtlSetBits(&map, 30, 5);
    ASSERT_EQ(words[0], 0xc0000000);
    ASSERT_EQ(words[1], 7);
    ASSERT_EQ(RtlNumberOfSetBits(&map), 5);
    ASSERT_TRUE(RtlAreBitsSet(&map, 30, 5));
    ASSERT_FALSE(RtlAreBitsSet(&map, 30, 6));
    ASSERT_FALSE(RtlAreBitsClear(&map, 66, 5)); /* beyond the end */
    ASSERT_EQ(RtlFindClearBits(&map, 31, 0), 35);
    ASSERT_EQ(RtlFindClearBits(&map, 36, 0), MAXULONG);
    ASSERT_EQ(RtlFindClearBitsAndSet(&map, 3, 69), 0); /* not round the end: from the start */
    ASSERT_EQ(RtlFindSetBits(&map, 4, 10), 30);
    ASSERT_EQ(RtlFindClearRuns(&map, runs, 2, TRUE), 2);
    ASSERT_EQ(runs[0].StartingIndex, 35);
    ASSERT_EQ(runs[0].NumberOfBits, 35);
    ASSERT_EQ(runs[1].NumberOfBits, 27);
    ASSERT_EQ(RtlFindClearRuns(&map, runs, 1, FALSE), 1);
    ASSERT_EQ(runs[0].StartingIndex, 3);
    ASSERT_EQ(RtlFindLastBackwardRunClear(&map, 33, &start), 27);
    ASSERT_EQ(start, 3);
    RtlSetAllBits(&map);
    ASSERT_EQ(words[2], 0x3f); /* and nothing behind the map */
    ASSERT_EQ(RtlFindClearBits(&map, 1, 0), MAXULONG);
    ASSERT_EQ((UCHAR)RtlFindMostSignificantBit(0x8001), 15);
    ASSERT_EQ((CHAR)RtlFindLeastSignificantBit(0) + 1, 0);
}

TARGET_CASE("RTL-5", the_calendar, "cpus=1 mode=mt") {
    static const struct {
        TIME_FIELDS Fields;
        LONG64 Time;
    } known[] = {
        {{1601, 1, 1, 0, 0, 0, 0, 1}, 0},
        {{1970, 1, 1, 0, 0, 0, 0, 4}, 116444736000000000},
        {{2000, 2, 29, 23, 59, 59, 999, 2}, 125963423999990000},
        {{2100, 3, 1, 0, 0, 0, 1, 1}, 157520160000010000},
    };
    for (ULONG i = 0; i < RTL_NUMBER_OF(known); i++) {
        LARGE_INTEGER time = {.QuadPart = known[i].Time};
        TIME_FIELDS fields;
        RtlTimeToTimeFields(&time, &fields);
        ASSERT_EQ(memcmp(&fields, &known[i].Fields, sizeof fields), 0);
        time.QuadPart = -1;
        ASSERT_TRUE(RtlTimeFieldsToTime(&fields, &time));
        ASSERT_EQ(time.QuadPart, known[i].Time);
    }
    LARGE_INTEGER time;
    for (ULONG day = 0; day < 800 * 366; day += 13) { /* there and back, over leap years of all kinds */
        TIME_FIELDS fields;
        LARGE_INTEGER again;
        time.QuadPart = day * 864000000000LL;
        RtlTimeToTimeFields(&time, &fields);
        ASSERT_TRUE(RtlTimeFieldsToTime(&fields, &again));
        ASSERT_EQ(again.QuadPart, time.QuadPart);
        ASSERT_EQ(fields.Weekday, (day + 1) % 7);
    }
    TIME_FIELDS wrong = {2100, 2, 29, 0, 0, 0, 0, 0};
    ASSERT_FALSE(RtlTimeFieldsToTime(&wrong, &time));
    ULONG seconds;
    time.QuadPart = known[1].Time + 50000000;
    ASSERT_TRUE(RtlTimeToSecondsSince1970(&time, &seconds));
    ASSERT_EQ(seconds, 5);
    time.QuadPart = 0;
    ASSERT_FALSE(RtlTimeToSecondsSince1970(&time, &seconds));
}

TARGET_CASE("RTL-5", versions_and_utf_8, "cpus=1 mode=mt") {
    RTL_OSVERSIONINFOEXW version = {.dwOSVersionInfoSize = sizeof version};
    ASSERT_EQ(RtlGetVersion((PRTL_OSVERSIONINFOW)&version), STATUS_SUCCESS);
    ASSERT_EQ(version.dwMajorVersion, 10);
    version.dwMajorVersion = 6;
    version.dwMinorVersion = 3;
    ULONGLONG mask = VerSetConditionMask(0, VER_MAJORVERSION, VER_GREATER_EQUAL);
    mask = VerSetConditionMask(mask, VER_MINORVERSION, VER_GREATER_EQUAL);
    ULONG types = VER_MAJORVERSION | VER_MINORVERSION; /* 10.0 is later than 6.3, although 0 is less than 3 */
    ASSERT_EQ(RtlVerifyVersionInfo(&version, types, mask), STATUS_SUCCESS);
    version.dwMajorVersion = 11;
    ASSERT_EQ(RtlVerifyVersionInfo(&version, types, mask), STATUS_REVISION_MISMATCH);
    CHAR utf8[16];
    WCHAR wide[8];
    ULONG bytes;
    static const WCHAR text[] = {L'a', 0xe4, 0x20ac, 0xd83d, 0xde00, 0xd800};
    ASSERT_EQ(RtlUnicodeToUTF8N(utf8, sizeof utf8, &bytes, text, sizeof text), STATUS_SOME_NOT_MAPPED);
    ASSERT_EQ(bytes, 1 + 2 + 3 + 4 + 3);
    ASSERT_EQ(memcmp(utf8, "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xef\xbf\xbd", 13), 0);
    ASSERT_EQ(RtlUTF8ToUnicodeN(wide, sizeof wide, &bytes, utf8, 10), STATUS_SUCCESS);
    ASSERT_EQ(bytes, 10);
    ASSERT_EQ(memcmp(wide, text, 10), 0);
    ASSERT_EQ(RtlUTF8ToUnicodeN(wide, 4, &bytes, utf8, 10), STATUS_BUFFER_TOO_SMALL);
    ASSERT_EQ(RtlUTF8ToUnicodeN(NULL, 0, &bytes, "\xc0\x80", 2), STATUS_SOME_NOT_MAPPED); /* longer than it need be */
}

TARGET_CASE("RTL-5", small_questions, "smp=2 mode=mt") {
    PROCESSOR_NUMBER number;
    GROUP_AFFINITY affinity = {.Mask = 2}, before;
    UUID one, two;
    UNICODE_STRING name;
    ULONG seed = 1;
    ASSERT_EQ(KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS), TargetCpus());
    ASSERT_EQ(KeQueryActiveProcessorCountEx(1), 0);
    ASSERT_EQ(KeGetProcessorNumberFromIndex(1, &number), STATUS_SUCCESS);
    ASSERT_EQ(KeGetProcessorIndexFromNumber(&number), 1);
    KeSetSystemGroupAffinityThread(&affinity, &before);
    ASSERT_EQ(KeGetCurrentProcessorNumberEx(&number), 1);
    ASSERT_EQ(number.Number, 1);
    KeRevertToUserGroupAffinityThread(&before);
    ASSERT_EQ(ExUuidCreate(&one), STATUS_SUCCESS);
    ASSERT_EQ(ExUuidCreate(&two), STATUS_SUCCESS);
    ASSERT_NE(memcmp(&one, &two, sizeof one), 0);
    ASSERT_EQ(one.Data3 >> 12, 4);
    RtlInitUnicodeString(&name, L"KeGetProcessorNumberFromIndex");
    NTSTATUS(NTAPI * routine)(ULONG, PPROCESSOR_NUMBER) = MmGetSystemRoutineAddress(&name);
    ASSERT_EQ(routine(MAXULONG, &number), STATUS_INVALID_PARAMETER);
    RtlInitUnicodeString(&name, L"KeNoSuchRoutine");
    ASSERT_EQ((ULONG64)MmGetSystemRoutineAddress(&name), 0);
    ASSERT_NE(RtlRandomEx(&seed), RtlRandomEx(&seed));
    ASSERT_EQ(PsGetProcessId(PsGetCurrentProcess()), PsGetCurrentProcessId());
    ASSERT_EQ(ExGetPreviousMode(), KernelMode);
}

static KBUGCHECK_CALLBACK_RECORD Gone, Record;
static ULONG Buffer[4] = {1, 2, 3, 4};

static VOID NTAPI AtTheEnd(PVOID Data, ULONG Length) {
    BOOLEAN right = Data == Buffer && Length == sizeof Buffer && KeGetCurrentIrql() == HIGH_LEVEL;
    DbgPrint("rtl_more: %s\n", right ? "called at the end" : "called wrongly");
}

static VOID NTAPI NeverAgain(PVOID Data, ULONG Length) {
    UNREFERENCED_PARAMETER(Length);
    *(volatile ULONG *)Data = 0; /* NULL: a second fault, which the record tells */
}

TARGET_CASE("RTL-5", routines_at_the_end, "cpus=1 mode=mt bugcheck=0xE2/0x1") {
    KeInitializeCallbackRecord((&Record));
    KeInitializeCallbackRecord((&Gone));
    ASSERT_TRUE(KeRegisterBugCheckCallback(&Gone, NeverAgain, NULL, 0, (PUCHAR) "gone"));
    ASSERT_TRUE(KeRegisterBugCheckCallback(&Record, AtTheEnd, Buffer, sizeof Buffer, (PUCHAR) "rtl_more"));
    ASSERT_FALSE(KeRegisterBugCheckCallback(&Record, AtTheEnd, Buffer, sizeof Buffer, (PUCHAR) "rtl_more"));
    ASSERT_TRUE(KeDeregisterBugCheckCallback(&Gone));
    ASSERT_FALSE(KeDeregisterBugCheckCallback(&Gone));
    KeBugCheckEx(0xe2, 1, 0, 0, 0);
}

TARGET_DRIVER
