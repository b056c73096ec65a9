/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Annotations of driver sources that mingw-w64's sal.h and driverspecs.h lack. They tell static analysers things and compile
 * to nothing. `dirql build` gives this to the compiler before each source, so that annotated sources compile unchanged.
 */
#pragma once

#include <driverspecs.h>
#include <sal.h>

#ifndef _Dispatch_type_
#define _Dispatch_type_(major)
#endif
#ifndef _Enum_is_bitflag_
#define _Enum_is_bitflag_
#endif
#ifndef _IRQL_saves_global_
#define _IRQL_saves_global_(kind, param)
#endif
#ifndef _IRQL_restores_global_
#define _IRQL_restores_global_(kind, param)
#endif
#ifndef _IRQL_uses_cancel_
#define _IRQL_uses_cancel_
#endif
#ifndef _IRQL_is_cancel_
#define _IRQL_is_cancel_
#endif
#ifndef _Interlocked_operand_
#define _Interlocked_operand_
#endif
#ifndef _Kernel_clear_do_init_
#define _Kernel_clear_do_init_(yes)
#endif
#ifndef _Kernel_float_saved_
#define _Kernel_float_saved_
#endif
#ifndef _Lock_kind_spin_lock_
#define _Lock_kind_spin_lock_
#endif
#ifndef _Maybenull_
#define _Maybenull_
#endif
#ifndef _Notnull_
#define _Notnull_
#endif
#ifndef _Null_
#define _Null_
#endif
#ifndef _Post_maybenull_
#define _Post_maybenull_
#endif
#ifndef _Post_notnull_
#define _Post_notnull_
#endif
#ifndef _Pre_maybenull_
#define _Pre_maybenull_
#endif
#ifndef __drv_functionClass
#define __drv_functionClass(type)
#endif
#ifndef __drv_sameIRQL
#define __drv_sameIRQL
#endif
#ifndef __field_bcount
#define __field_bcount(size)
#endif
#ifndef __reserved
#define __reserved
#endif
#ifndef __success
#define __success(expression)
#endif
