/* SPDX-License-Identifier: Apache-2.0 */
/* Share access: what the files of one object allow each other (the driver keeps the SHARE_ACCESS, under a lock of its own). */
#include "iop.h"

static VOID IopCountShare(const FILE_OBJECT *file, PSHARE_ACCESS share, LONG by) {
    if (!file->ReadAccess && !file->WriteAccess && !file->DeleteAccess) {
        return; /* an open that asks for attributes alone is in nobody's way */
    }
    share->OpenCount += (ULONG)by;
    share->Readers += file->ReadAccess ? (ULONG)by : 0;
    share->Writers += file->WriteAccess ? (ULONG)by : 0;
    share->Deleters += file->DeleteAccess ? (ULONG)by : 0;
    share->SharedRead += file->SharedRead ? (ULONG)by : 0;
    share->SharedWrite += file->SharedWrite ? (ULONG)by : 0;
    share->SharedDelete += file->SharedDelete ? (ULONG)by : 0;
}

static VOID IopNoteAccess(PFILE_OBJECT file, ACCESS_MASK access, ULONG share) {
    file->ReadAccess = (access & (FILE_READ_DATA | FILE_EXECUTE)) != 0;
    file->WriteAccess = (access & (FILE_WRITE_DATA | FILE_APPEND_DATA)) != 0;
    file->DeleteAccess = (access & DELETE) != 0;
    file->SharedRead = (share & FILE_SHARE_READ) != 0;
    file->SharedWrite = (share & FILE_SHARE_WRITE) != 0;
    file->SharedDelete = (share & FILE_SHARE_DELETE) != 0;
}

VOID NTAPI IoSetShareAccess(ACCESS_MASK DesiredAccess, ULONG DesiredShareAccess, PFILE_OBJECT FileObject,
                            PSHARE_ACCESS ShareAccess) {
    IopNoteAccess(FileObject, DesiredAccess, DesiredShareAccess);
    RtlZeroMemory(ShareAccess, sizeof *ShareAccess);
    IopCountShare(FileObject, ShareAccess, 1);
}
NT_EXPORT(IoSetShareAccess);

NTSTATUS NTAPI IoCheckShareAccess(ACCESS_MASK DesiredAccess, ULONG DesiredShareAccess, PFILE_OBJECT FileObject,
                                  PSHARE_ACCESS ShareAccess, BOOLEAN Update) {
    IopNoteAccess(FileObject, DesiredAccess, DesiredShareAccess);
    BOOLEAN asks = FileObject->ReadAccess || FileObject->WriteAccess || FileObject->DeleteAccess;
    ULONG opens = ShareAccess->OpenCount;
    BOOLEAN refused = asks &&
        ((FileObject->ReadAccess && ShareAccess->SharedRead < opens) ||
         (FileObject->WriteAccess && ShareAccess->SharedWrite < opens) ||
         (FileObject->DeleteAccess && ShareAccess->SharedDelete < opens) ||
         (ShareAccess->Readers != 0 && !FileObject->SharedRead) ||
         (ShareAccess->Writers != 0 && !FileObject->SharedWrite) ||
         (ShareAccess->Deleters != 0 && !FileObject->SharedDelete));
    if (refused) {
        return STATUS_SHARING_VIOLATION;
    }
    if (Update) {
        IopCountShare(FileObject, ShareAccess, 1);
    }
    return STATUS_SUCCESS;
}
NT_EXPORT(IoCheckShareAccess);

VOID NTAPI IoUpdateShareAccess(PFILE_OBJECT FileObject, PSHARE_ACCESS ShareAccess) {
    IopCountShare(FileObject, ShareAccess, 1);
}
NT_EXPORT(IoUpdateShareAccess);

VOID NTAPI IoRemoveShareAccess(PFILE_OBJECT FileObject, PSHARE_ACCESS ShareAccess) {
    IopCountShare(FileObject, ShareAccess, -1);
}
NT_EXPORT(IoRemoveShareAccess);
