/* SPDX-License-Identifier: Apache-2.0 */
/* Cases that end in each way that a case can end; tests/system/target runs them and looks at what is told of them. */
#include <ntddk.h>

#include <dirqltest.h>

static volatile LONG Stop;

TARGET_CASE("DEMO-1", passes, "oracle=IRQL-2") {
    DirqlInterrupt(0, 0x2f);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

static VOID NTAPI FailAtDispatch(PVOID Context) {
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    ASSERT_EQ(KeGetCurrentIrql(), (ULONG_PTR)Context); /* here: assertion */
}

TARGET_CASE("DEMO-2", fails_on_another_cpu, "smp=2") {
    DirqlStartOn(1, FailAtDispatch, (PVOID)(ULONG_PTR)PASSIVE_LEVEL);
    DirqlWaitFor(1);
}

TARGET_CASE("DEMO-3", leaves_pool, "") {
    PULONG block = ExAllocatePoolWithTag(NonPagedPool, 64, 0x6f6d6544);
    ASSERT_NE(block, NULL);
    *block = 1;
}

TARGET_CASE("DEMO-4", bugchecks, "bugcheck=0xE2/1/2/*/4") {
    KeBugCheckEx(0xE2, 1, 2, 3, 4);
}

TARGET_CASE("DEMO-4", bugchecks_otherwise, "bugcheck=0xE2/1/3") {
    KeBugCheckEx(0xE2, 1, 2, 3, 5);
}

TARGET_CASE("DEMO-4", returns_instead, "bugcheck=0xE2") {}

TARGET_CASE("DEMO-5", hangs, "limit=0.5") {
    WAIT_UNTIL(Stop != 0);
}

static VOID ReleaseWhatNobodyHolds(VOID) {
    KSPIN_LOCK lock;
    KeInitializeSpinLock(&lock);
    KIRQL irql;
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    KeReleaseSpinLockFromDpcLevel(&lock); /* here: violation */
    KeLowerIrql(irql);
}

TARGET_CASE("DEMO-6", violates_as_said, "verifier=off violates=SPIN-8") {
    ReleaseWhatNobodyHolds();
}

TARGET_CASE("DEMO-6", violates_unsaid, "verifier=off") {
    ReleaseWhatNobodyHolds();
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

TARGET_CASE("DEMO-6", keeps_what_it_should_violate, "violates=SPIN-8 oracle=SYN-1") {}

TARGET_CASE("DEMO-7", fills_its_ring_over_and_over, "oracle=SPIN-1 limit=60") {
    KSPIN_LOCK lock;
    KIRQL irql;
    KeInitializeSpinLock(&lock);
    for (ULONG i = 1; i <= 100000; i++) {
        KeAcquireSpinLock(&lock, &irql);
        KeReleaseSpinLock(&lock, irql);
        if (i % 5000 == 0) {
            ASSERT_EQ(DirqlHostCall(HostCallPing, 0, 0, NULL), STATUS_SUCCESS);
        }
    }
}

TARGET_CASE("SPIN-15", tests_a_lock_and_takes_it, "limit=2") {
    KSPIN_LOCK lock;
    KIRQL irql;
    KeInitializeSpinLock(&lock);
    ASSERT_TRUE(KeTestSpinLock(&lock));
    ASSERT_TRUE(KeTestSpinLock(&lock));
    KeAcquireSpinLock(&lock, &irql);
    ASSERT_FALSE(KeTestSpinLock(&lock));
    KeReleaseSpinLock(&lock, irql);
}

TARGET_DRIVER
