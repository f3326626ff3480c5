//! What kind of disk the database file lies on: SQLite's locks, and the memory that its processes share beside a write-ahead
//! log, are those of one machine (sqlite.org/wal.html: "does not work over a network filesystem").

use std::{env, fs, io, path::Path};

/// What is wrong with keeping the file there; nothing, of a disk that is not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trouble {
    /// Another machine may have it in use without anybody here noticing.
    Shared(&'static str),
    /// It may be shared so, or not: the kernel does not tell.
    MayBeShared(&'static str),
    /// It ends with the machine's run, or with the container.
    Passing(&'static str),
}

/// Numbers of Linux' `statfs(2)` and `linux/magic.h`.
const KNOWN: [(u32, Trouble); 19] = [
    (0x0000_6969, Trouble::Shared("NFS")),
    (0x0000_517b, Trouble::Shared("SMB")),
    (0xff53_4d42, Trouble::Shared("CIFS")),
    (0xfe53_4d42, Trouble::Shared("SMB 2")),
    (0x5346_414f, Trouble::Shared("AFS")),
    (0x6b41_4653, Trouble::Shared("AFS")),
    (0x00c3_6400, Trouble::Shared("Ceph")),
    (0x0bd0_0bd0, Trouble::Shared("Lustre")),
    (0x4750_4653, Trouble::Shared("GPFS")),
    (0x7461_636f, Trouble::Shared("OCFS2")),
    (0x0116_1970, Trouble::Shared("GFS2")),
    (0x7375_7245, Trouble::Shared("Coda")),
    (0x0000_564c, Trouble::Shared("NCP")),
    (0x786f_4256, Trouble::Shared("a shared folder of VirtualBox")),
    (0x0102_1997, Trouble::MayBeShared("9P")),
    (0x6573_5546, Trouble::MayBeShared("FUSE")),
    (0x0102_1994, Trouble::Passing("in memory (tmpfs)")),
    (0x8584_58f6, Trouble::Passing("in memory (ramfs)")),
    (0x794c_7630, Trouble::Passing("in a container's own layer (overlay)")),
];

fn known(kind: u32) -> Option<Trouble> {
    KNOWN.iter().find(|(number, _)| *number == kind).map(|(_, trouble)| *trouble)
}

/// Looks at what `path` lies on, which has no links in it, and warns of what may be meant so.
///
/// # Errors
///
/// With the words for whoever set it up, of a share: such a file is not opened.
pub(super) fn check(path: &Path) -> io::Result<Result<(), String>> {
    let shown = path.display();
    match kind(path)?.and_then(known) {
        // SEND-SAFETY: two machines that both believe to hold the file's lock would both send what waits in it.
        Some(Trouble::Shared(what)) => {
            return Ok(Err(format!(
                "it lies on a share that other machines may use ({what}), where the locks of SQLite don't hold: put \
                 store.data_dir on a disk of this machine, or let the fleet use Redis (store.url)"
            )));
        }
        Some(Trouble::MayBeShared(what)) => tracing::warn!(
            path = %shown, what,
            "the store's file may lie on a share; if another machine uses it too, texts may go out twice"
        ),
        // Whoever keeps it among the temporary files, as the demo does, knows that.
        Some(Trouble::Passing(_))
            if fs::canonicalize(env::temp_dir()).is_ok_and(|temporary| path.starts_with(temporary)) => {}
        Some(Trouble::Passing(what)) => tracing::warn!(
            path = %shown, what,
            "the store's file does not outlive this machine's run or this container: what waits in it, and what is known of \
             texts that were sent, will be lost; put store.data_dir on a disk"
        ),
        None => {}
    }
    Ok(Ok(()))
}

#[cfg(target_os = "linux")]
fn kind(path: &Path) -> io::Result<Option<u32>> {
    // The type's width differs by processor; the numbers have 32 bits.
    Ok(Some(rustix::fs::statfs(path)?.f_type as u32))
}

/// Other systems have other numbers.
#[cfg(not(target_os = "linux"))]
fn kind(_path: &Path) -> io::Result<Option<u32>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_told_from_a_disk() {
        assert_eq!(known(0x6969), Some(Trouble::Shared("NFS")));
        assert_eq!(known(0x517b), Some(Trouble::Shared("SMB")));
        assert_eq!(known(0x6573_5546), Some(Trouble::MayBeShared("FUSE")));
        for disk in [0xef53, 0x5846_5342, 0x9123_683e, 0x2fc1_2fc1] {
            assert_eq!(known(disk), None, "ext4, XFS, Btrfs and ZFS are disks of this machine");
        }
    }

    #[test]
    fn the_kernel_tells_a_folder_in_memory_from_a_disk() {
        // Of every Linux: tmpfs, see shm_overview(7).
        #[cfg(target_os = "linux")]
        assert_eq!(kind(Path::new("/dev/shm")).unwrap().and_then(known), Some(Trouble::Passing("in memory (tmpfs)")));
    }
}
