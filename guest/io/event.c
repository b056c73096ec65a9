/* SPDX-License-Identifier: Apache-2.0 */
/* Events as objects: with a name that several drivers share, and a handle. */
#include "iop.h"

/* First member: the event is what drivers know. */
static VOID IopForgetEvent(PVOID object) {
    ObRemoveNameOf(object);
}

/* NOLINTNEXTLINE(misc-static-initialization-cycle): an address is a constant in C */
OBJECT_TYPE IopEventType = {.Self = &IopEventType, .Name = "Event", .Tag = 'nevE', .Close = IopForgetEvent};
NT_EXPORT_AS(&IopEventType, ExEventObjectType);

/* Of that name, new or there already; referenced. An event without handles has lost its name. */
static NTSTATUS IopTakeEvent(PCUNICODE_STRING name, EVENT_TYPE type, BOOLEAN signalled, BOOLEAN may_exist,
                             PKEVENT *event) {
    UNICODE_STRING rest = {0};
    PVOID object;
    if (name != NULL && may_exist && NT_SUCCESS(ObFindByName(name, &IopEventType, &object, &rest))) {
        if (rest.Buffer != NULL) { /* something below it, and it has none */
            ExFreePoolWithTag(rest.Buffer, POOL_TAG_NAME);
            ObfDereferenceObject(object);
            return STATUS_OBJECT_PATH_NOT_FOUND;
        }
        *event = object;
        return STATUS_SUCCESS;
    }
    *event = ObCreateObject(&IopEventType, sizeof **event);
    if (*event == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    KeInitializeEvent(*event, type, signalled);
    NTSTATUS status = name != NULL ? ObInsertName(name, *event) : STATUS_SUCCESS;
    if (!NT_SUCCESS(status)) {
        ObfDereferenceObject(*event);
    }
    return status;
}

static NTSTATUS IopEventHandle(PKEVENT event, PHANDLE handle) {
    NTSTATUS status = ObCreateHandle(event, handle); /* if it fails, the event is closed, as by its last handle */
    ObfDereferenceObject(event);
    return status;
}

static PKEVENT IopCreateNamedEvent(PUNICODE_STRING name, EVENT_TYPE type, PHANDLE handle) {
    PKEVENT event;
    NTSTATUS status = IopTakeEvent(name, type, TRUE, TRUE, &event);
    return NT_SUCCESS(status) && NT_SUCCESS(IopEventHandle(event, handle)) ? event : NULL;
}

PKEVENT NTAPI IoCreateNotificationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle) {
    return IopCreateNamedEvent(EventName, NotificationEvent, EventHandle);
}
NT_EXPORT(IoCreateNotificationEvent);

PKEVENT NTAPI IoCreateSynchronizationEvent(PUNICODE_STRING EventName, PHANDLE EventHandle) {
    return IopCreateNamedEvent(EventName, SynchronizationEvent, EventHandle);
}
NT_EXPORT(IoCreateSynchronizationEvent);

NTSTATUS NTAPI ZwCreateEvent(PHANDLE EventHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes,
                             EVENT_TYPE EventType, BOOLEAN InitialState) {
    PKEVENT event;
    PCUNICODE_STRING name = ObjectAttributes != NULL ? ObjectAttributes->ObjectName : NULL;
    BOOLEAN may_exist = ObjectAttributes != NULL && (ObjectAttributes->Attributes & OBJ_OPENIF) != 0;
    UNREFERENCED_PARAMETER(DesiredAccess);
    NTSTATUS status = IopTakeEvent(name, EventType, InitialState, may_exist, &event);
    return NT_SUCCESS(status) ? IopEventHandle(event, EventHandle) : status;
}
NT_EXPORT(ZwCreateEvent);

static NTSTATUS IopChangeEvent(HANDLE handle, PLONG previous, LONG(NTAPI *change)(PKEVENT event)) {
    PVOID event;
    NTSTATUS status = ObReferenceObjectByHandle(handle, 0, &IopEventType, KernelMode, &event, NULL);
    if (NT_SUCCESS(status)) {
        LONG before = change(event);
        if (previous != NULL) {
            *previous = before;
        }
        ObfDereferenceObject(event);
    }
    return status;
}

static LONG NTAPI IopSetEvent(PKEVENT event) {
    return KeSetEvent(event, IO_NO_INCREMENT, FALSE);
}

NTSTATUS NTAPI ZwSetEvent(HANDLE EventHandle, PLONG PreviousState) {
    return IopChangeEvent(EventHandle, PreviousState, IopSetEvent);
}
NT_EXPORT(ZwSetEvent);

static LONG NTAPI IopClearEvent(PKEVENT event) {
    return KeResetEvent(event);
}

NTSTATUS NTAPI ZwClearEvent(HANDLE EventHandle) {
    return IopChangeEvent(EventHandle, NULL, IopClearEvent);
}
NT_EXPORT(ZwClearEvent);
