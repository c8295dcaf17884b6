//! How much memory this process could still take, as Linux tells it.

use std::fs;
use std::io;
use std::path::Path;

/// Where groups of processes are listed with their limits.
const GROUPS: &str = "/sys/fs/cgroup";

/// Bytes that this process could still take: of the machine's memory, pages of files that can be given up included, and
/// of what its control groups allow.
///
/// # Errors
/// What the system says where it does not tell.
pub fn available() -> io::Result<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let in_groups = room(Path::new(GROUPS), &groups);
    match (machine(), in_groups) {
        (Ok(machine), Some(in_groups)) => Ok(machine.min(in_groups)),
        // A service may not be shown the machine.
        (Err(_), Some(in_groups)) => Ok(in_groups),
        (machine, None) => machine,
    }
}

fn machine() -> io::Result<u64> {
    let available = kib(&fs::read_to_string("/proc/meminfo")?, "MemAvailable:");
    available.ok_or_else(|| io::Error::other("/proc/meminfo has no MemAvailable"))
}

/// The value of a line in KiB, in bytes.
pub fn kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// What files tell of a group: its limit, what all in it hold, and what of that are pages of files.
struct Files {
    limit: &'static str,
    held: &'static str,
    pages: [&'static str; 2],
}

/// One tree for everything.
const ONE: Files = Files {
    limit: "memory.max",
    held: "memory.current",
    pages: ["active_file ", "inactive_file "],
};
/// The older one for memory alone.
const OLDER: Files = Files {
    limit: "memory.limit_in_bytes",
    held: "memory.usage_in_bytes",
    pages: ["total_active_file ", "total_inactive_file "],
};

/// The least room in the groups that `/proc/self/cgroup` names, and in those around them; nothing where none has a limit.
fn room(root: &Path, groups: &str) -> Option<u64> {
    let rooms = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (kinds, group) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (root, files) = match kinds {
            "" => (root.to_owned(), &ONE),
            _ if kinds.split(',').any(|kind| kind == "memory") => (root.join("memory"), &OLDER),
            _ => return Vec::new(),
        };
        let groups = Path::new(group.trim_start_matches('/')).ancestors();
        groups.filter_map(|group| room_in(&root.join(group), files)).collect()
    });
    rooms.min()
}

/// Bytes that a group's limit leaves; nothing for `max`, and where a container does not see the file.
fn room_in(group: &Path, files: &Files) -> Option<u64> {
    let number = |file| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
    let limit = number(files.limit)?;
    let held = number(files.held).unwrap_or_default();
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    // Pages of files can be given up.
    let value = |key| stat.lines().find_map(|line| line.strip_prefix(key))?.parse::<u64>().ok();
    let pages: u64 = files.pages.into_iter().filter_map(value).sum();
    Some(limit.saturating_sub(held.saturating_sub(pages)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], groups: &str, expected: Option<u64>) {
        let root = tempfile::tempdir().expect("a folder");
        for (file, text) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
            fs::write(path, text).expect("writable");
        }
        assert_eq!(room(root.path(), groups), expected, "{groups:?}");
    }

    #[test]
    fn the_least_room_around_counts() {
        let files = [
            ("system.slice/memory.max", "7000\n"),
            ("system.slice/safeguard.service/memory.max", "max\n"),
            ("other.slice/memory.max", "1\n"),
            ("memory.max", "9000\n"),
        ];
        check(&files, "0::/system.slice/safeguard.service\n", Some(7000));
        check(&files, "0::/\n", Some(9000));
        check(&files, "0::/gone\n", Some(9000));
        check(&files, "", None);
    }

    #[test]
    fn what_others_of_the_group_hold_is_no_room_but_pages_of_files_are() {
        let files = [
            ("two/memory.max", "7000\n"),
            ("two/memory.current", "5000\n"),
            ("two/memory.stat", "anon 3500\nactive_file 400\ninactive_file 600\n"),
            ("memory/two/memory.limit_in_bytes", "9000\n"),
            ("memory/two/memory.usage_in_bytes", "9500\n"),
            ("memory/two/memory.stat", "active_file 1\ntotal_active_file 800\n"),
        ];
        check(&files, "0::/two/one\n", Some(3000));
        check(&files, "1:memory:/two\n", Some(300));
    }

    #[test]
    fn the_older_tree_is_read_too() {
        let files = [
            ("memory/docker/memory.limit_in_bytes", "5000\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("docker/memory.max", "1\n"),
        ];
        check(&files, "4:cpu,memory:/docker\n2:cpu:/\n", Some(5000));
        check(&files, "4:memory:/not/seen/here\n0::/\n", Some(9_223_372_036_854_771_712));
    }

    #[test]
    fn this_machine_tells() {
        assert!(available().expect("Linux tells") > 0);
        assert_eq!(kib("Rss: 1 kB\nRssAnon:\t  12 kB\n", "RssAnon:"), Some(12 << 10));
        assert_eq!(kib("RssAnon: 12 MB\n", "RssAnon:"), None);
    }
}
