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
    let machine = kib(&fs::read_to_string("/proc/meminfo")?, "MemAvailable:");
    let machine = machine.ok_or_else(|| io::Error::other("/proc/meminfo has no MemAvailable"))?;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(limit) = limit(Path::new(GROUPS), &groups) else { return Ok(machine) };
    // Pages of files count too, but those can be given up.
    let status = fs::read_to_string("/proc/self/status")?;
    let taken = kib(&status, "RssAnon:").unwrap_or_default();
    Ok(machine.min(limit.saturating_sub(taken)))
}

/// The value of a line in KiB, in bytes.
pub fn kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The lowest limit of the groups that `/proc/self/cgroup` names, and of those around them.
fn limit(root: &Path, groups: &str) -> Option<u64> {
    let limits = groups.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (kinds, group) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        // One tree for everything, or the older one for memory alone.
        let (root, file) = match kinds {
            "" => (root.to_owned(), "memory.max"),
            _ if kinds.split(',').any(|kind| kind == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return Vec::new(),
        };
        let groups = Path::new(group.trim_start_matches('/')).ancestors();
        groups.filter_map(|group| read_limit(&root.join(group).join(file))).collect()
    });
    limits.min()
}

/// A limit in bytes; nothing for `max`, and where a container does not see the file.
fn read_limit(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
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
        assert_eq!(limit(root.path(), groups), expected, "{groups:?}");
    }

    #[test]
    fn the_lowest_limit_around_counts() {
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
