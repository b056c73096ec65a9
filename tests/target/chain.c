/* SPDX-License-Identifier: Apache-2.0 */
/* Section 6: the chain of service routines at one vector: who is asked, in which order, and when it ends. */
#include "interrupts.h"

/* Each member refuses until it is its turn to claim, as often as it is told. */
typedef struct _MEMBER {
    ULONG Number;
    LONG Claims; /* how many times it still says that the interrupt is its own */
} MEMBER;

#define MEMBERS 4
static MEMBER Members[MEMBERS];

static BOOLEAN NTAPI AskMember(PKINTERRUPT Interrupt, PVOID ServiceContext) {
    MEMBER *member = ServiceContext;
    UNREFERENCED_PARAMETER(Interrupt);
    Step(member->Number);
    BOOLEAN mine = member->Claims > 0;
    member->Claims -= mine;
    return mine;
}

static VOID ConnectChain(PKINTERRUPT *chain, KINTERRUPT_MODE mode) {
    for (ULONG i = 0; i < MEMBERS; i++) {
        Members[i].Number = i;
        Members[i].Claims = 0;
        ASSERT_EQ(IoConnectInterrupt(&chain[i], AskMember, &Members[i], NULL, LEVEL_VECTOR(7), 7, 7, mode, TRUE,
                                     ALL_CPUS, FALSE),
                  STATUS_SUCCESS);
    }
}

static VOID AskChain(LONG first, LONG second, LONG third, LONG fourth) {
    ULONG64 before = DirqlInterruptCount(0, LEVEL_VECTOR(7));
    Members[0].Claims = first, Members[1].Claims = second, Members[2].Claims = third, Members[3].Claims = fourth;
    StepCount = 0;
    DirqlInterrupt(0, LEVEL_VECTOR(7));
    WAIT_UNTIL(DirqlInterruptCount(0, LEVEL_VECTOR(7)) == before + 1);
}

static VOID AssertSteps(const char *expected) {
    LONG count = 0;
    for (; expected[count] != 0; count++) {
        ASSERT_LT(count, StepCount);
        ASSERT_EQ(Steps[count].What, expected[count] - '0');
    }
    ASSERT_EQ(StepCount, count);
}

static VOID DisconnectChain(PKINTERRUPT *chain) {
    for (ULONG i = 0; i < MEMBERS; i++) {
        IoDisconnectInterrupt(chain[i]);
    }
}

TARGET_CASE("INT-2", false_passes_it_on, "") {
    PKINTERRUPT chain[MEMBERS];
    ConnectChain(chain, LevelSensitive);
    AskChain(0, 0, 0, 1);
    AssertSteps("0123");
    AskChain(0, 0, 0, 0); /* nobody's: not fatal */
    AssertSteps("0123");
    DisconnectChain(chain);
}

TARGET_CASE("INT-3 INT-2", level_chain_ends_with_the_first_claim, "") {
    PKINTERRUPT chain[MEMBERS];
    ConnectChain(chain, LevelSensitive);
    AskChain(1, 1, 1, 1);
    AssertSteps("0");
    AskChain(0, 1, 1, 1);
    AssertSteps("01");
    AskChain(0, 0, 2, 1);
    AssertSteps("012");
    DisconnectChain(chain);
}

TARGET_CASE("INT-3", latched_chain_is_scanned_until_nobody_claims, "") {
    PKINTERRUPT chain[MEMBERS];
    ConnectChain(chain, Latched);
    AskChain(0, 0, 0, 0);
    AssertSteps("0123");
    AskChain(1, 0, 0, 0);
    AssertSteps("01230123");
    AskChain(0, 2, 0, 1);
    AssertSteps("012301230123");
    DisconnectChain(chain);
}

TARGET_CASE("INT-2 INT-3", disconnected_members_are_left_out, "") {
    PKINTERRUPT chain[MEMBERS];
    ConnectChain(chain, LevelSensitive);
    IoDisconnectInterrupt(chain[1]);
    AskChain(0, 1, 0, 1);
    AssertSteps("023");
    IoDisconnectInterrupt(chain[0]);
    AskChain(1, 1, 0, 0);
    AssertSteps("23");
    ASSERT_EQ(IoConnectInterrupt(&chain[0], AskMember, &Members[0], NULL, LEVEL_VECTOR(7), 7, 7, LevelSensitive, TRUE,
                                 ALL_CPUS, FALSE),
              STATUS_SUCCESS);
    AskChain(0, 1, 0, 0);
    AssertSteps("230"); /* connected last */
    IoDisconnectInterrupt(chain[0]);
    IoDisconnectInterrupt(chain[2]);
    IoDisconnectInterrupt(chain[3]);
}

TARGET_CASE("INT-8", inactive_members_leave_the_others_alone, "") {
    PKINTERRUPT chain[MEMBERS];
    ConnectChain(chain, LevelSensitive);
    Report(chain[0], FALSE);
    Report(chain[2], FALSE);
    AskChain(1, 0, 1, 1);
    AssertSteps("13");
    Report(chain[2], TRUE);
    AskChain(1, 0, 1, 1);
    AssertSteps("12");
    DisconnectChain(chain);
}

TARGET_DRIVER
