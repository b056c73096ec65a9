/* SPDX-License-Identifier: Apache-2.0 */
/* Names, links and files: NAME-1, NAME-2, FILE-1 to FILE-4. */
#include "device.h"

static NTSTATUS Link(PCWSTR From, PCWSTR To) {
    UNICODE_STRING from;
    UNICODE_STRING to;
    RtlInitUnicodeString(&from, From);
    RtlInitUnicodeString(&to, To);
    return IoCreateSymbolicLink(&from, &to);
}

static NTSTATUS Unlink(PCWSTR From) {
    UNICODE_STRING from;
    RtlInitUnicodeString(&from, From);
    return IoDeleteSymbolicLink(&from);
}

TARGET_CASE("NAME-1", a_device_is_found_by_its_name_and_by_links, "cpus=1 verifier=on") {
    static const PCWSTR names[] = {L"\\Device\\Files",  L"\\device\\FILES",         L"\\??\\FilesLink",
                                   L"\\\\.\\fileslink", L"\\DosDevices\\FilesLink", L"\\GLOBAL\?\?\\FilesLink",
                                   L"\\\\?\\FILESLINK"};
    for (ULONG i = 0; i < RTL_NUMBER_OF(names); i++) {
        FilesReset();
        ZwClose(FilesOpen(names[i]));
        ASSERT_EQ(Seen.Creates, 1);
        ASSERT_EQ(Seen.Name[0], 0);
    }
    ZwClose(FilesOpen(L"\\??\\FilesLink\\Dir\\a.txt"));
    ASSERT_EQ(Seen.Name[0], L'\\');
    ASSERT_EQ(Seen.Name[1], L'D'); /* as it was written: what it means is the driver's affair */
    ASSERT_EQ(Seen.Name[9], L't');
    ASSERT_EQ(Seen.Name[11], 0);
}

TARGET_CASE("NAME-1", names_that_lead_nowhere, "cpus=1 verifier=on") {
    HANDLE handle;
    ASSERT_EQ(FilesTryOpen(L"\\Device\\Nothing", &handle), STATUS_OBJECT_NAME_NOT_FOUND);
    ASSERT_EQ(FilesTryOpen(L"\\Device\\FilesAndMore", &handle), STATUS_OBJECT_NAME_NOT_FOUND);
    ASSERT_EQ(FilesTryOpen(L"Device\\Files", &handle), STATUS_OBJECT_NAME_INVALID);
    ASSERT_EQ(FilesTryOpen(L"", &handle), STATUS_OBJECT_NAME_INVALID);
    ASSERT_EQ(Link(L"\\??\\Around", L"\\??\\AroundAgain"), STATUS_SUCCESS);
    ASSERT_EQ(Link(L"\\??\\AroundAgain", L"\\??\\Around"), STATUS_SUCCESS);
    ASSERT_EQ(FilesTryOpen(L"\\??\\Around", &handle), STATUS_OBJECT_PATH_INVALID);
    ASSERT_EQ(Unlink(L"\\??\\Around"), STATUS_SUCCESS);
    ASSERT_EQ(FilesTryOpen(L"\\??\\AroundAgain", &handle), STATUS_OBJECT_NAME_NOT_FOUND);
    ASSERT_EQ(Unlink(L"\\??\\AroundAgain"), STATUS_SUCCESS);
    ASSERT_EQ(Unlink(L"\\??\\AroundAgain"), STATUS_OBJECT_NAME_NOT_FOUND);
    ASSERT_EQ(Unlink(L"\\Device\\Files"), STATUS_OBJECT_TYPE_MISMATCH);
}

TARGET_CASE("NAME-2", a_name_is_given_once_and_where_a_directory_is, "cpus=1 verifier=on") {
    PDEVICE_OBJECT device;
    ASSERT_EQ(FilesMakeDevice(L"\\Device\\FILES", 0, FALSE, &device), STATUS_OBJECT_NAME_COLLISION);
    ASSERT_EQ(device, NULL);
    ASSERT_EQ(Link(L"\\??\\fileslink", L"\\Device\\Other"), STATUS_OBJECT_NAME_COLLISION);
    ASSERT_EQ(FilesMakeDevice(L"\\Nowhere\\Files", 0, FALSE, &device), STATUS_OBJECT_PATH_NOT_FOUND);
    ASSERT_EQ(FilesMakeDevice(L"\\Device\\Files\\Sub", 0, FALSE, &device), STATUS_OBJECT_PATH_NOT_FOUND);
    ASSERT_EQ(FilesMakeDevice(L"\\Device\\", 0, FALSE, &device), STATUS_OBJECT_NAME_INVALID);
    ASSERT_EQ(FilesMakeDevice(L"\\Device\\FilesTwo", 0, FALSE, &device), STATUS_SUCCESS);
    IoDeleteDevice(device);
    ASSERT_EQ(FilesMakeDevice(L"\\Device\\FilesTwo", 0, FALSE, &device), STATUS_SUCCESS); /* the name is free again */
    IoDeleteDevice(device);
}

TARGET_CASE("FILE-1", an_exclusive_device_is_opened_once, "cpus=1 verifier=on") {
    PDEVICE_OBJECT device;
    HANDLE second;
    ASSERT_EQ(FilesMakeDevice(L"\\Device\\Alone", 0, TRUE, &device), STATUS_SUCCESS);
    HANDLE first = FilesOpen(L"\\Device\\Alone");
    ASSERT_EQ(FilesTryOpen(L"\\Device\\Alone", &second), STATUS_ACCESS_DENIED);
    ZwClose(first);
    ZwClose(FilesOpen(L"\\Device\\Alone"));
    IoDeleteDevice(device);
}

TARGET_CASE("FILE-2", cleanup_with_the_last_handle_close_with_the_last_reference, "cpus=1") {
    PVOID file;
    FilesReset();
    HANDLE handle = FilesOpen(FILES_OPEN_NAME);
    ASSERT_TRUE(Seen.Read);
    ASSERT_FALSE(Seen.Write);
    ASSERT_EQ(ObReferenceObjectByHandle(handle, 0, *IoFileObjectType, KernelMode, &file, NULL), STATUS_SUCCESS);
    ASSERT_EQ(((PFILE_OBJECT)file)->DeviceObject, FilesDevice);
    ASSERT_EQ(ZwClose(handle), STATUS_SUCCESS);
    ASSERT_EQ(Seen.Cleanups, 1);
    ASSERT_EQ(Seen.Closes, 0);
    ObDereferenceObject(file);
    ASSERT_EQ(Seen.Cleanups, 1);
    ASSERT_EQ(Seen.Closes, 1);
    ASSERT_EQ(ZwClose(handle), STATUS_INVALID_HANDLE);
}

TARGET_CASE("FILE-3", closed_at_passive_level_wherever_the_last_reference_goes, "cpus=1,4") {
    PVOID file;
    KIRQL old;
    FilesReset();
    HANDLE handle = FilesOpen(FILES_OPEN_NAME);
    ASSERT_EQ(ObReferenceObjectByHandle(handle, 0, *IoFileObjectType, KernelMode, &file, NULL), STATUS_SUCCESS);
    ASSERT_EQ(ZwClose(handle), STATUS_SUCCESS);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    ObDereferenceObjectDeferDelete(file);
    KeLowerIrql(old);
    while (Seen.Closes == 0) { /* a worker thread's, which needs this CPU too */
        LARGE_INTEGER tick = {.QuadPart = MILLISECONDS};
        KeDelayExecutionThread(KernelMode, FALSE, &tick);
    }
    ASSERT_EQ(Seen.CloseIrql, PASSIVE_LEVEL);
}

TARGET_CASE("FILE-4", a_driver_opens_another_s_device_by_name, "cpus=1") {
    UNICODE_STRING name;
    PFILE_OBJECT file;
    PDEVICE_OBJECT device;
    FilesReset();
    RtlInitUnicodeString(&name, FILES_OPEN_NAME);
    ASSERT_EQ(IoGetDeviceObjectPointer(&name, FILE_ALL_ACCESS, &file, &device), STATUS_SUCCESS);
    ASSERT_EQ(device, FilesDevice);
    ASSERT_EQ(IoGetRelatedDeviceObject(file), FilesDevice);
    ASSERT_EQ(Seen.Cleanups, 1);
    ASSERT_EQ(Seen.Closes, 0);
    ObDereferenceObject(file);
    ASSERT_EQ(Seen.Closes, 1);
    RtlInitUnicodeString(&name, L"\\Device\\Nothing");
    ASSERT_EQ(IoGetDeviceObjectPointer(&name, FILE_ALL_ACCESS, &file, &device), STATUS_OBJECT_NAME_NOT_FOUND);
}

TARGET_CASE("NAME-2", an_event_s_name_goes_with_its_last_handle, "cpus=1 verifier=on") {
    UNICODE_STRING name;
    HANDLE one;
    HANDLE two;
    RtlInitUnicodeString(&name, L"\\BaseNamedObjects\\FilesEvent");
    PKEVENT event = IoCreateNotificationEvent(&name, &one);
    ASSERT_NE(event, NULL);
    ASSERT_TRUE(KeReadStateEvent(event));
    ASSERT_EQ(ZwClearEvent(one), STATUS_SUCCESS);
    ASSERT_EQ(IoCreateNotificationEvent(&name, &two), event);
    ASSERT_FALSE(KeReadStateEvent(event));
    ASSERT_EQ(ZwSetEvent(two, NULL), STATUS_SUCCESS);
    ASSERT_TRUE(KeReadStateEvent(event));
    ZwClose(one);
    ASSERT_EQ(ZwClose(two), STATUS_SUCCESS);
    event = IoCreateSynchronizationEvent(&name, &one); /* a new one */
    ASSERT_NE(event, NULL);
    ASSERT_EQ(event->Header.Type, SynchronizationEvent);
    ZwClose(one);
}
