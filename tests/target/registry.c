/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values, RtlQueryRegistryValues, and several CPUs at it. */
#include <ntddk.h>

#include <dirqltest.h>

#define RTL_QUERY_REGISTRY_TYPECHECK       0x100 /* wdm.h has them since Windows 8 */
#define RTL_QUERY_REGISTRY_TYPECHECK_SHIFT 24

#define SERVICE L"\\Registry\\Machine\\System\\CurrentControlSet\\Services\\registry"
#define ROUNDS  200

static NTSTATUS Open(PCWSTR path, HANDLE root, HANDLE *key) {
    UNICODE_STRING name;
    OBJECT_ATTRIBUTES attributes;
    RtlInitUnicodeString(&name, path);
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, root, NULL);
    return ZwOpenKey(key, KEY_ALL_ACCESS, &attributes);
}

static NTSTATUS Create(PCWSTR path, HANDLE root, HANDLE *key, ULONG *disposition) {
    UNICODE_STRING name;
    OBJECT_ATTRIBUTES attributes;
    RtlInitUnicodeString(&name, path);
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, root, NULL);
    return ZwCreateKey(key, KEY_ALL_ACCESS, &attributes, 0, NULL, REG_OPTION_VOLATILE, disposition);
}

static NTSTATUS Set(HANDLE key, PCWSTR name, ULONG type, const VOID *data, ULONG bytes) {
    UNICODE_STRING string;
    RtlInitUnicodeString(&string, name);
    return ZwSetValueKey(key, &string, 0, type, (PVOID)data, bytes);
}

static NTSTATUS Forget(HANDLE key, PCWSTR name) {
    UNICODE_STRING string;
    RtlInitUnicodeString(&string, name);
    return ZwDeleteValueKey(key, &string);
}

TARGET_CASE("REG-1 REG-4", keys_by_their_paths, "cpus=1 mode=mt") {
    HANDLE service, key, same, other, missing;
    ULONG disposition = 0;
    ULONG bytes;
    UCHAR room[256];
    KEY_BASIC_INFORMATION *basic = (PVOID)room;
    KEY_FULL_INFORMATION *full = (PVOID)room;
    ASSERT_EQ(Open(SERVICE, NULL, &service), STATUS_SUCCESS); /* this driver's own */
    ASSERT_EQ(Open(L"\\REGISTRY\\machine\\system\\currentcontrolset\\SERVICES\\Registry\\parameters\\", NULL, &key),
              STATUS_SUCCESS);
    ZwClose(key);
    ASSERT_EQ(Open(L"\\Registry\\Machine\\Nowhere", NULL, &key), STATUS_OBJECT_NAME_NOT_FOUND);
    ASSERT_EQ(Open(L"Machine", NULL, &key), STATUS_OBJECT_PATH_SYNTAX_BAD);
    ASSERT_EQ(Create(L"One\\Two", service, &key, NULL), STATUS_OBJECT_NAME_NOT_FOUND); /* the last name only */
    ASSERT_EQ(Create(L"One", service, &key, &disposition), STATUS_SUCCESS);
    ASSERT_EQ(disposition, REG_CREATED_NEW_KEY);
    ASSERT_EQ(Create(L"ONE", service, &same, &disposition), STATUS_SUCCESS);
    ASSERT_EQ(disposition, REG_OPENED_EXISTING_KEY);
    ASSERT_EQ(Create(L"Two", same, &other, &disposition), STATUS_SUCCESS);
    ASSERT_EQ(ZwQueryKey(service, KeyFullInformation, full, sizeof room, &bytes), STATUS_SUCCESS);
    ASSERT_EQ(full->SubKeys, 2);
    ASSERT_EQ(full->Values, 3); /* Type, Start, ErrorControl */
    ASSERT_EQ(full->MaxNameLen, 20);
    ASSERT_EQ(ZwEnumerateKey(service, 1, KeyBasicInformation, basic, sizeof room, &bytes), STATUS_SUCCESS);
    ASSERT_EQ(basic->NameLength, 6);
    ASSERT_EQ(memcmp(basic->Name, L"One", 6), 0);
    ASSERT_EQ(ZwEnumerateKey(service, 2, KeyBasicInformation, basic, sizeof room, &bytes), STATUS_NO_MORE_ENTRIES);
    ASSERT_EQ(ZwDeleteKey(key), STATUS_CANNOT_DELETE);
    ASSERT_EQ(ZwDeleteKey(other), STATUS_SUCCESS);
    ASSERT_EQ(ZwDeleteKey(key), STATUS_SUCCESS);
    ASSERT_EQ(ZwDeleteKey(same), STATUS_KEY_DELETED);
    ASSERT_EQ(Set(same, L"x", REG_SZ, L"", 2), STATUS_KEY_DELETED);
    ASSERT_EQ(Open(L"One", service, &missing), STATUS_OBJECT_NAME_NOT_FOUND);
    ZwClose(other);
    ZwClose(same);
    ASSERT_EQ(ZwClose(key), STATUS_SUCCESS);
    ZwClose(service);
}

TARGET_CASE("REG-2", values_as_far_as_there_is_room, "cpus=1 mode=mt") {
    HANDLE key;
    ULONG bytes;
    UNICODE_STRING name;
    UCHAR room[64];
    KEY_VALUE_PARTIAL_INFORMATION *partial = (PVOID)room;
    KEY_VALUE_FULL_INFORMATION *full = (PVOID)room;
    RtlInitUnicodeString(&name, L"text");
    ASSERT_EQ(Open(SERVICE L"\\Parameters", NULL, &key), STATUS_SUCCESS);
    ASSERT_EQ(Set(key, L"Number", REG_DWORD, "\1\0\0\0", 4), STATUS_SUCCESS);
    ASSERT_EQ(Set(key, L"Text", REG_SZ, L"short", 12), STATUS_SUCCESS);
    ASSERT_EQ(Set(key, L"TEXT", REG_SZ, L"longer", 14), STATUS_SUCCESS); /* in its place */
    ASSERT_EQ(ZwQueryValueKey(key, &name, KeyValuePartialInformation, room, 4, &bytes), STATUS_BUFFER_TOO_SMALL);
    ASSERT_EQ(bytes, 12 + 14);
    room[20] = 0xee;
    ASSERT_EQ(ZwQueryValueKey(key, &name, KeyValuePartialInformation, room, 20, &bytes), STATUS_BUFFER_OVERFLOW);
    ASSERT_EQ(room[20], 0xee);
    ASSERT_EQ(memcmp(partial->Data, L"long", 8), 0);
    ASSERT_EQ(ZwQueryValueKey(key, &name, KeyValuePartialInformation, room, sizeof room, &bytes), STATUS_SUCCESS);
    ASSERT_EQ(partial->Type, REG_SZ);
    ASSERT_EQ(partial->DataLength, 14);
    ASSERT_EQ(memcmp(partial->Data, L"longer", 14), 0);
    ASSERT_EQ(ZwEnumerateValueKey(key, 1, KeyValueFullInformation, room, sizeof room, &bytes), STATUS_SUCCESS);
    ASSERT_EQ(memcmp(full->Name, L"TEXT", full->NameLength), 0);
    ASSERT_EQ(memcmp(room + full->DataOffset, L"longer", 14), 0);
    ASSERT_EQ(ZwEnumerateValueKey(key, 2, KeyValueFullInformation, room, sizeof room, &bytes), STATUS_NO_MORE_ENTRIES);
    ASSERT_EQ(ZwQueryValueKey(key, &name, MaxKeyValueInfoClass, room, sizeof room, &bytes), STATUS_INVALID_PARAMETER);
    ASSERT_EQ(Forget(key, L"Number"), STATUS_SUCCESS);
    ASSERT_EQ(Forget(key, L"Number"), STATUS_OBJECT_NAME_NOT_FOUND);
    ASSERT_EQ(Forget(key, L"Text"), STATUS_SUCCESS);
    ZwClose(key);
}

typedef struct _SEEN {
    ULONG Calls;
    ULONG Bytes;
    WCHAR First[4];
} SEEN;

static NTSTATUS NTAPI See(PWSTR ValueName, ULONG ValueType, PVOID ValueData, ULONG ValueLength, PVOID Context,
                          PVOID EntryContext) {
    SEEN *seen = EntryContext;
    UNREFERENCED_PARAMETER(Context);
    ASSERT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
    if (ValueName != NULL) {
        ASSERT_EQ(ValueType, REG_SZ);
        seen->First[seen->Calls % 4] = *(const WCHAR *)ValueData;
        /* It may use the registry itself. */
        ASSERT_EQ(RtlCheckRegistryKey(RTL_REGISTRY_SERVICES, (PWSTR)L"registry\\Parameters"), STATUS_SUCCESS);
    }
    seen->Calls++;
    seen->Bytes += ValueLength;
    return STATUS_SUCCESS;
}

TARGET_CASE("REG-3", a_table_of_values, "cpus=1 mode=mt") {
    static const WCHAR several[] = L"ab\0c\0";
    PCWSTR path = L"registry\\Parameters";
    ULONG number = 0, missing = 0, big[6] = {sizeof big}, defaulted = 7;
    UNICODE_STRING text = {0}, raw = {0};
    SEEN strings = {0}, none = {0};
    ULONG64 wide = 0x1122334455667788ull;
    ASSERT_EQ(RtlWriteRegistryValue(RTL_REGISTRY_SERVICES, path, L"Number", REG_DWORD, &(ULONG){77}, 4),
              STATUS_SUCCESS);
    ASSERT_EQ(RtlWriteRegistryValue(RTL_REGISTRY_SERVICES, path, L"Text", REG_SZ, (PVOID)L"hey", 8), STATUS_SUCCESS);
    ASSERT_EQ(RtlWriteRegistryValue(RTL_REGISTRY_SERVICES, path, L"Several", REG_MULTI_SZ, (PVOID)several, 12),
              STATUS_SUCCESS);
    ASSERT_EQ(RtlWriteRegistryValue(RTL_REGISTRY_SERVICES, L"registry\\Parameters\\Sub", L"Wide", REG_QWORD, &wide, 8),
              STATUS_SUCCESS);
    RTL_QUERY_REGISTRY_TABLE table[] = {
        {NULL, RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_TYPECHECK | RTL_QUERY_REGISTRY_REQUIRED, (PWSTR)L"number",
         &number, REG_DWORD << RTL_QUERY_REGISTRY_TYPECHECK_SHIFT, NULL, 0},
        {NULL, RTL_QUERY_REGISTRY_DIRECT, (PWSTR)L"Absent", &missing, REG_DWORD, &defaulted, sizeof defaulted},
        {NULL, RTL_QUERY_REGISTRY_DIRECT, (PWSTR)L"Text", &text, REG_NONE, NULL, 0},
        {NULL, RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_NOEXPAND, (PWSTR)L"Several", &raw, REG_NONE, NULL, 0},
        {See, RTL_QUERY_REGISTRY_DELETE, (PWSTR)L"Several", &strings, REG_NONE, NULL, 0},
        {See, 0, (PWSTR)L"Several", &strings, REG_SZ, (PWSTR)L"zz", 0},
        {See, RTL_QUERY_REGISTRY_NOVALUE, NULL, &none, REG_NONE, NULL, 0},
        {NULL, RTL_QUERY_REGISTRY_SUBKEY | RTL_QUERY_REGISTRY_REQUIRED, (PWSTR)L"Sub", NULL, REG_NONE, NULL, 0},
        {NULL, RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_DELETE, (PWSTR)L"Wide", big, REG_NONE, NULL, 0},
        {NULL, RTL_QUERY_REGISTRY_TOPKEY | RTL_QUERY_REGISTRY_DIRECT | RTL_QUERY_REGISTRY_DELETE, (PWSTR)L"Number",
         &missing, REG_NONE, NULL, 0},
        {NULL, 0, NULL, NULL, 0, NULL, 0},
    };
    ASSERT_EQ(RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, path, table, NULL, NULL), STATUS_SUCCESS);
    ASSERT_EQ(number, 77);
    ASSERT_EQ(missing, 77);
    ASSERT_EQ(text.Length, 6);
    ASSERT_EQ(memcmp(text.Buffer, L"hey", 8), 0);
    ASSERT_EQ(raw.Length, 10);
    ASSERT_EQ(strings.Calls, 3); /* two of the value, then the default */
    ASSERT_EQ(strings.Bytes, 6 + 4 + 6);
    ASSERT_EQ(memcmp(strings.First, L"acz", 6), 0);
    ASSERT_EQ(none.Calls, 1);
    ASSERT_EQ(big[0], 8);
    ASSERT_EQ(big[1], REG_QWORD);
    ASSERT_EQ(memcmp(big + 2, &wide, 8), 0);
    RtlFreeUnicodeString(&text);
    RtlFreeUnicodeString(&raw);
    missing = 0;
    table[2] = table[10];
    table[0].DefaultType = REG_SZ << RTL_QUERY_REGISTRY_TYPECHECK_SHIFT;
    ASSERT_EQ(RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, path, table, NULL, NULL), STATUS_OBJECT_NAME_NOT_FOUND);
    ASSERT_EQ(RtlWriteRegistryValue(RTL_REGISTRY_SERVICES, path, L"Number", REG_DWORD, &number, 4), STATUS_SUCCESS);
    ASSERT_EQ(RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, path, table, NULL, NULL), STATUS_OBJECT_TYPE_MISMATCH);
    table[0] = table[1];
    ASSERT_EQ(RtlQueryRegistryValues(RTL_REGISTRY_SERVICES, L"nobody", table, NULL, NULL),
              STATUS_OBJECT_NAME_NOT_FOUND);
    ASSERT_EQ(missing, 0);
    ASSERT_EQ(RtlQueryRegistryValues(RTL_REGISTRY_SERVICES | RTL_REGISTRY_OPTIONAL, L"nobody", table, NULL, NULL),
              STATUS_SUCCESS);
    ASSERT_EQ(missing, 7);
    ASSERT_EQ(RtlDeleteRegistryValue(RTL_REGISTRY_SERVICES, path, L"Number"), STATUS_SUCCESS);
    ASSERT_EQ(RtlDeleteRegistryValue(RTL_REGISTRY_SERVICES, path, L"Text"), STATUS_SUCCESS);
    HANDLE sub;
    ASSERT_EQ(Open(SERVICE L"\\Parameters\\Sub", NULL, &sub), STATUS_SUCCESS);
    ASSERT_EQ(ZwDeleteKey(sub), STATUS_SUCCESS);
    ZwClose(sub);
}

static HANDLE Shared;

/* Each CPU has a value of its own, which it finds as it left it, and one that all replace, which is always whole. */
static VOID NTAPI UseValues(PVOID Context) {
    ULONG cpu = (ULONG)(ULONG_PTR)Context;
    WCHAR own[2] = {(WCHAR)(L'A' + cpu), 0};
    UNICODE_STRING name, shared;
    UCHAR room[96];
    KEY_VALUE_PARTIAL_INFORMATION *partial = (PVOID)room;
    ULONG bytes;
    RtlInitUnicodeString(&name, own);
    RtlInitUnicodeString(&shared, L"Shared");
    for (ULONG round = 0; round < ROUNDS; round++) {
        UCHAR data[48];
        ULONG length = 1 + (round * 7 + cpu) % sizeof data;
        memset(data, (int)length, sizeof data);
        ASSERT_EQ(ZwSetValueKey(Shared, &shared, 0, REG_BINARY, data, length), STATUS_SUCCESS);
        ASSERT_EQ(ZwSetValueKey(Shared, &name, 0, REG_DWORD, &round, sizeof round), STATUS_SUCCESS);
        NTSTATUS status = ZwQueryValueKey(Shared, &shared, KeyValuePartialInformation, room, sizeof room, &bytes);
        if (NT_SUCCESS(status)) {
            ASSERT_LE(partial->DataLength, sizeof data);
            for (ULONG i = 0; i < partial->DataLength; i++) {
                ASSERT_EQ(partial->Data[i], partial->DataLength);
            }
        } else {
            ASSERT_EQ(status, STATUS_OBJECT_NAME_NOT_FOUND); /* just deleted below */
        }
        ASSERT_EQ(ZwQueryValueKey(Shared, &name, KeyValuePartialInformation, room, sizeof room, &bytes),
                  STATUS_SUCCESS);
        ASSERT_EQ(*(const ULONG *)partial->Data, round);
        if (round % 5 == cpu % 5) {
            status = ZwDeleteValueKey(Shared, &shared);
            ASSERT_TRUE(status == STATUS_SUCCESS || status == STATUS_OBJECT_NAME_NOT_FOUND);
        }
    }
    ASSERT_EQ(ZwDeleteValueKey(Shared, &name), STATUS_SUCCESS);
}

TARGET_CASE("REG-5", values_from_several_cpus, "cpus=4") {
    ASSERT_EQ(Open(SERVICE L"\\Parameters", NULL, &Shared), STATUS_SUCCESS);
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlStartOn(cpu, UseValues, (PVOID)(ULONG_PTR)cpu);
    }
    UseValues(NULL);
    for (ULONG cpu = 1; cpu < TargetCpus(); cpu++) {
        DirqlWaitFor(cpu);
    }
    Forget(Shared, L"Shared");
    ZwClose(Shared);
}

TARGET_DRIVER
