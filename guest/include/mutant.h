/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutants: rules of the executive broken on purpose, one at a time, to see that a case notices. MUTANT(Name, "CLAUSE",
 * "what is wrong") is the constant 0, and what depends on it is no code at all, unless the file is compiled with
 * -DMUTANT_Name=1, which only `make mutants` does. The list of mutants is what the sources hold.
 */
#pragma once

/* NOLINTBEGIN(bugprone-macro-parentheses): what is joined here is no expression */
#define MUTANT(name, clause, text)        MUTANT_SWITCH(MUTANT_##name)
#define MUTANT_SWITCH(value)              MUTANT_VALUE(value)
#define MUTANT_VALUE(value)               MUTANT_MARKED(MUTANT_MARK_##value)
#define MUTANT_MARK_1                     0,
#define MUTANT_MARKED(mark)               MUTANT_SECOND(mark 1, 0, 0)
#define MUTANT_SECOND(first, second, ...) second
/* NOLINTEND(bugprone-macro-parentheses) */
