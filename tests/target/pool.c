/* SPDX-License-Identifier: Apache-2.0 */
/* Pool, nonpaged and paged: sizes, alignment, bounds, tags (MEM-4, MEM-5), and what stays right when all CPUs use it at once. */
#define POOL_TAGGING
#include <ntddk.h>

#include <dirqltest.h>
#include <pool2.h>

#define TAG  'tseT'
#define LINE 64

/* Not constants: an enumeration's own values do not have these bits, as compilers notice. */
static volatile ULONG Flagged[] = {(ULONG)PagedPool | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE,
                                   (ULONG)NonPagedPoolNx | POOL_RAISE_IF_ALLOCATION_FAILURE};

static UCHAR *Take(POOL_TYPE type, SIZE_T bytes) {
    UCHAR *memory = ExAllocatePoolWithTag(type, bytes, TAG);
    ASSERT_NE(memory, NULL);
    return memory;
}

static const SIZE_T Sizes[] = {1,    7,    8,    15,   16,   17,   31,   32,   33,   100,  255,  256,  1000,
                               2000, 2024, 2025, 4000, 4071, 4072, 4073, 4095, 4096, 4097, 8191, 8192, 100000};

static VOID SizesOf(POOL_TYPE type) {
    UCHAR *blocks[RTL_NUMBER_OF(Sizes)];
    for (ULONG i = 0; i < RTL_NUMBER_OF(Sizes); i++) {
        blocks[i] = Take(type, Sizes[i]);
        ULONG_PTR at = (ULONG_PTR)blocks[i];
        ASSERT_EQ(at % MEMORY_ALLOCATION_ALIGNMENT, 0);
        if (Sizes[i] >= PAGE_SIZE) {
            ASSERT_EQ(at % PAGE_SIZE, 0);
        } else {
            ASSERT_EQ(at / PAGE_SIZE, (at + Sizes[i] - 1) / PAGE_SIZE); /* within a page */
        }
        RtlFillMemory(blocks[i], Sizes[i], (UCHAR)(i + 1));
    }
    for (ULONG i = 0; i < RTL_NUMBER_OF(Sizes); i++) {
        for (SIZE_T at = 0; at < Sizes[i]; at++) {
            ASSERT_EQ(blocks[i][at], (UCHAR)(i + 1));
        }
        ExFreePoolWithTag(blocks[i], i % 2 == 0 ? TAG : 0);
    }
}

TARGET_CASE("MEM-4", every_size_is_whole_and_its_own, "") {
    SizesOf(NonPagedPoolNx);
    SizesOf(PagedPool);
}

TARGET_CASE("MEM-4", cache_aligned_begins_a_line, "") {
    static const ULONG sizes[] = {1, 40, 64, 100, 3000, 5000};
    for (ULONG i = 0; i < RTL_NUMBER_OF(sizes); i++) {
        UCHAR *plain = Take(NonPagedPool, 24); /* so that blocks begin in different places */
        UCHAR *resident = Take(NonPagedPoolNxCacheAligned, sizes[i]);
        UCHAR *paged = Take(PagedPoolCacheAligned, sizes[i]);
        ASSERT_EQ((ULONG_PTR)resident % LINE, 0);
        ASSERT_EQ((ULONG_PTR)paged % LINE, 0);
        RtlFillMemory(resident, sizes[i], 1);
        RtlFillMemory(paged, sizes[i], 2);
        ExFreePool(resident);
        ExFreePool(paged);
        ExFreePool(plain);
    }
}

TARGET_CASE("MEM-4", pool2_is_cleared_unless_it_is_not_to_be, "") {
    for (ULONG i = 0; i < 64; i++) {
        UCHAR *dirty = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_UNINITIALIZED, 200, TAG);
        RtlFillMemory(dirty, 200, 0xee);
        ExFreePool2(dirty, TAG, NULL, 0);
        UCHAR *clean = ExAllocatePool2(POOL_FLAG_NON_PAGED, 200, TAG);
        UCHAR *paged = ExAllocatePool2(POOL_FLAG_PAGED, 5000, TAG);
        for (ULONG at = 0; at < 200; at++) {
            ASSERT_EQ(clean[at], 0);
        }
        for (ULONG at = 0; at < 5000; at++) {
            ASSERT_EQ(paged[at], 0);
        }
        ExFreePoolWithTag(clean, TAG);
        ExFreePoolWithTag(paged, TAG);
    }
    UCHAR *zero = ExAllocatePoolZero(PagedPool, 64, TAG);
    ASSERT_EQ(zero[0] + zero[63], 0);
    ExFreePoolWithTag(zero, TAG);
}

TARGET_CASE("MEM-4", pool2_refuses_what_it_does_not_know, "") {
    ASSERT_EQ(ExAllocatePool2(POOL_FLAG_NON_PAGED, 16, 0), NULL);
    ASSERT_EQ(ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_PAGED, 16, TAG), NULL);
    ASSERT_EQ(ExAllocatePool2(0, 16, TAG), NULL);
    ASSERT_EQ(ExAllocatePool2(POOL_FLAG_NON_PAGED_EXECUTE, 16, TAG), NULL);
    ASSERT_EQ(ExAllocatePool2(POOL_FLAG_NON_PAGED | 0x10, 16, TAG), NULL);
    PVOID optional = ExAllocatePool2(POOL_FLAG_NON_PAGED | 0x4000000000000000ull, 16, TAG);
    ASSERT_NE(optional, NULL);
    ExFreePoolWithTag(optional, TAG);
}

TARGET_CASE("MEM-4", pool3_knows_priorities_and_its_one_node, "") {
    POOL_EXTENDED_PARAMETER parameters[2];
    RtlZeroMemory(parameters, sizeof parameters);
    parameters[0].Type = PoolExtendedParameterPriority;
    parameters[0].Priority = LowPoolPriority;
    parameters[1].Type = PoolExtendedParameterNumaNode;
    PVOID memory = ExAllocatePool3(POOL_FLAG_NON_PAGED, 16, TAG, parameters, 2);
    ASSERT_NE(memory, NULL);
    ExFreePoolWithTag(memory, TAG);
    parameters[1].Type = PoolExtendedParameterSecurePool;
    ASSERT_EQ(ExAllocatePool3(POOL_FLAG_NON_PAGED, 16, TAG, parameters, 2), NULL);
    parameters[1].Optional = 1;
    memory = ExAllocatePool3(POOL_FLAG_NON_PAGED, 16, TAG, parameters, 2);
    ASSERT_NE(memory, NULL);
    ExFreePoolWithTag(memory, TAG);
}

TARGET_CASE("MEM-4", too_much_is_null, "") {
    ASSERT_EQ(ExAllocatePoolWithTag(NonPagedPoolNx, 1ull << 40, TAG), NULL);
    ASSERT_EQ(ExAllocatePoolWithTag(PagedPool, 1ull << 40, TAG), NULL);
    ASSERT_EQ(ExAllocatePoolWithTag(NonPagedPoolNx, ~(SIZE_T)0, TAG), NULL);
    ASSERT_EQ(ExAllocatePoolWithQuotaTag((POOL_TYPE)Flagged[0], 1ull << 40, TAG), NULL);
    ASSERT_EQ(ExAllocatePoolWithTag(NonPagedPoolMustSucceed, 16, TAG), NULL);
    PVOID memory = ExAllocatePoolWithTagPriority(NonPagedPoolNx, 16, TAG, LowPoolPriority);
    ASSERT_NE(memory, NULL);
    ExFreePool(memory);
}

TARGET_CASE("MEM-4", too_much_is_raised_where_asked_for, "bugcheck=0x1E/0xFFFFFFFFC000009A") {
    ExAllocatePoolWithTag((POOL_TYPE)Flagged[1], 1ull << 40, TAG);
}

TARGET_CASE("MEM-4", quota_is_raised_unless_told, "bugcheck=0x1E/0xFFFFFFFFC000009A") {
    ExAllocatePoolWithQuotaTag(NonPagedPoolNx, 1ull << 40, TAG);
}

TARGET_CASE("MEM-4", memory_that_is_freed_is_given_again, "") {
    for (ULONG i = 0; i < 400; i++) { /* more than all that the machine has, if it were not */
        UCHAR *large = Take(NonPagedPoolNx, 300ull * 1024);
        UCHAR *paged = Take(PagedPool, 300ull * 1024);
        large[i] = paged[i] = 1;
        ExFreePool(large);
        ExFreePool(paged);
    }
}

TARGET_CASE("MEM-1", paged_pool_goes_out_and_comes_back, "") {
    ULONG64 *small = (ULONG64 *)Take(PagedPool, 64);
    ULONG64 *large = (ULONG64 *)Take(PagedPool, 3ull * PAGE_SIZE);
    ULONG64 *resident = (ULONG64 *)Take(NonPagedPoolNx, 3ull * PAGE_SIZE);
    *small = 1;
    large[0] = 2;
    large[1024] = 3;
    ASSERT_GE(DirqlPageOut(NULL, 0), 4);
    ASSERT_FALSE(DirqlIsResident(small));
    ASSERT_FALSE(DirqlIsResident(&large[1024]));
    ASSERT_TRUE(DirqlIsResident(resident));
    ASSERT_EQ(*small + large[0] + large[1024], 6);
    DirqlPageOut(NULL, 0);
    ExFreePool(small); /* what is out can be freed */
    ExFreePool(large);
    ExFreePool(resident);
}

TARGET_CASE("SYS-14", paged_pool_that_is_out_at_dispatch_level, "bugcheck=0xA/*/2/1") {
    KIRQL irql;
    volatile ULONG *memory = (ULONG *)Take(PagedPool, 64);
    DirqlPageOut(NULL, 0);
    KeRaiseIrql(DISPATCH_LEVEL, &irql);
    *memory = 1;
}

TARGET_CASE("MEM-5", freed_twice, "bugcheck=0xC2/7") {
    UCHAR *memory = Take(NonPagedPoolNx, 40);
    ExFreePoolWithTag(memory, TAG);
    ExFreePoolWithTag(memory, TAG);
}

TARGET_CASE("MEM-5", paged_pool_freed_twice, "bugcheck=0xC2/7") {
    UCHAR *memory = Take(PagedPool, 40);
    ExFreePool(memory);
    ExFreePool(memory);
}

TARGET_CASE("MEM-5", a_large_block_freed_twice, "bugcheck=0xC2/0x99") {
    UCHAR *memory = Take(NonPagedPoolNx, 2ull * PAGE_SIZE);
    ExFreePool(memory);
    ExFreePool(memory);
}

TARGET_CASE("MEM-5", freed_with_another_tag, "bugcheck=0xC2/0xA/*/0x74736554") {
    ExFreePoolWithTag(Take(NonPagedPoolNx, 40), 'rehO');
}

TARGET_CASE("MEM-5", a_large_block_freed_with_another_tag, "bugcheck=0xC2/0xA/*/0x74736554") {
    ExFreePoolWithTag(Take(PagedPool, 5000), 'rehO');
}

TARGET_CASE("MEM-5", one_byte_behind_a_block, "bugcheck=0x19/0x21/*/41") {
    volatile UCHAR *memory = Take(NonPagedPoolNx, 41);
    memory[41] ^= 1;
    ExFreePoolWithTag((PVOID)memory, TAG);
}

TARGET_CASE("MEM-5", one_byte_behind_a_large_block, "bugcheck=0x19/0x21/*/5000") {
    volatile UCHAR *memory = Take(PagedPool, 5000);
    memory[5000] ^= 1;
    ExFreePoolWithTag((PVOID)memory, TAG);
}

TARGET_CASE("MEM-5", one_byte_in_front_of_a_block, "bugcheck=0x19/0x20") {
    volatile UCHAR *memory = Take(NonPagedPoolNx, 40);
    memory[-1] ^= 1;
    ExFreePool((PVOID)memory);
}

TARGET_CASE("MEM-5", sixteen_bytes_in_front_of_a_block, "bugcheck=0x19/0x20") {
    volatile UCHAR *memory = Take(PagedPool, 40);
    memory[-16] ^= 1;
    ExFreePool((PVOID)memory);
}

TARGET_CASE("MEM-5", an_address_inside_a_block, "bugcheck=0xC2/0x99") {
    ExFreePool(Take(NonPagedPoolNx, 64) + 8);
}

TARGET_CASE("MEM-5", an_address_that_is_no_pool, "bugcheck=0xC2/0x46") {
    static ULONG64 none;
    ExFreePool(&none);
}

/* All CPUs take and give blocks of random sizes, some of them blocks that another CPU took. */
#define SLOTS  128
#define ROUNDS 1000

static PVOID volatile Slot[SLOTS];
static volatile LONG64 Taken, Given;

static ULONG Random(ULONG64 *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (ULONG)(*state >> 20);
}

/* A block says how long it is and holds one value; whoever gets it checks that it is still whole. */
static VOID Give(PVOID block) {
    const ULONG64 *words = block;
    for (ULONG64 i = 1; i < words[0]; i++) {
        ASSERT_EQ(words[i], (ULONG64)block ^ i);
    }
    ExFreePoolWithTag(block, TAG);
    InterlockedIncrement64(&Given);
}

static PVOID TakeRandom(ULONG64 *seed) {
    ULONG64 count = 2 + (Random(seed) % 8 == 0 ? Random(seed) % 1500 : Random(seed) % 60);
    ULONG64 *words = ExAllocatePoolWithTag(Random(seed) % 3 == 0 ? PagedPool : NonPagedPoolNx, count * 8, TAG);
    ASSERT_NE(words, NULL);
    words[0] = count;
    for (ULONG64 i = 1; i < count; i++) {
        words[i] = (ULONG64)words ^ i;
    }
    InterlockedIncrement64(&Taken);
    return words;
}

static VOID NTAPI TakeAndGive(PVOID Context) {
    ULONG64 seed = 0x9e3779b97f4a7c15ull * ((ULONG64)Context + 1);
    for (ULONG i = 0; i < ROUNDS; i++) {
        PVOID mine = TakeRandom(&seed);
        PVOID other = InterlockedExchangePointer(&Slot[Random(&seed) % SLOTS], mine);
        if (other != NULL) {
            Give(other);
        }
        if (i % 256 == 0) {
            DirqlPageOut(NULL, 0);
        }
    }
}

static VOID OnAll(DIRQL_WORK_ROUTINE *routine, ULONG64 seed) {
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, routine, (PVOID)(ULONG_PTR)(seed + cpu));
    }
    routine((PVOID)(ULONG_PTR)seed);
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlWaitFor(cpu);
    }
}

TARGET_CASE("MEM-4 MEM-1", all_cpus_take_and_give_while_pages_go_out, "limit=300") {
    LARGE_INTEGER seed = {.QuadPart = (LONGLONG)__rdtsc()};
    DbgPrint("pool: seed %I64u\n", seed.QuadPart);
    Taken = Given = 0;
    OnAll(TakeAndGive, (ULONG64)seed.QuadPart);
    for (ULONG i = 0; i < SLOTS; i++) {
        PVOID left = InterlockedExchangePointer(&Slot[i], NULL);
        if (left != NULL) {
            Give(left);
        }
    }
    ASSERT_EQ(Taken, (ULONG64)ROUNDS * TargetCpus());
    ASSERT_EQ(Given, Taken);
}

TARGET_DRIVER
