use std::fs;
use std::path::Path;

/// Memory that this process may use, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All there is: the machine's, swap included, or the limit of a control group where that is less.
    pub total: u64,
    /// What of it is free, or would be if the system let go of its file cache. Without swap, which is too slow for a
    /// model to live in.
    pub free: u64,
}

// === impl Memory ===

impl Memory {
    /// Asks the system. `None` where it does not say: only Linux does.
    pub fn of_this_process() -> Option<Self> {
        Self::read(Path::new("/"))
    }

    fn read(root: &Path) -> Option<Self> {
        let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
        let kilobytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line?.split_whitespace().next()?.parse::<u64>().ok()
        };
        let bytes = |name| kilobytes(name).map(|number| number.saturating_mul(1024));
        let machine = Self {
            total: bytes("MemTotal")?.saturating_add(bytes("SwapTotal").unwrap_or_default()),
            free: bytes("MemAvailable")?,
        };
        Some(groups(root).into_iter().fold(machine, |memory, group| Self {
            total: memory.total.min(group.total),
            free: memory.free.min(group.free),
        }))
    }
}

/// The limits of the process's control groups: its own and those around it, of version 2 (`0::/path`) and 1
/// (`4:memory:/path`). Inside a container the path may be that of the host, of which the root alone is there.
fn groups(root: &Path) -> Vec<Memory> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut found = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (mount, files) = match controllers {
            "" => ("sys/fs/cgroup", ["memory.max", "memory.current", "inactive_file"]),
            one if one.split(',').any(|name| name == "memory") => (
                "sys/fs/cgroup/memory",
                ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"],
            ),
            _ => continue,
        };
        let below = Path::new(path.trim_start_matches('/'));
        let folders = below.ancestors().map(|folder| root.join(mount).join(folder));
        found.extend(folders.filter_map(|folder| group(&folder, files)));
    }
    found
}

/// `None` where the group has no limit.
fn group(folder: &Path, [limit, used, cache]: [&str; 3]) -> Option<Memory> {
    let number = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let total = number(limit)?;
    let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    // What was read from files and not used lately is let go of first.
    let cached = statistics.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == cache).then(|| value.trim().parse::<u64>().ok())?
    });
    let used = number(used).unwrap_or_default().saturating_sub(cached.unwrap_or_default());
    Some(Memory { total, free: total.saturating_sub(used) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:  8000 kB\nMemFree:  100 kB\nMemAvailable:  6000 kB\nSwapTotal: 1000 kB\nSwapFree:  900 kB\n";

    fn read(files: &[(&str, &str)]) -> Option<(u64, u64)> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Memory::read(root.path()).map(|memory| (memory.total, memory.free))
    }

    #[test]
    fn without_groups_memory_is_the_machines() {
        assert_eq!(read(&[("proc/meminfo", MEMINFO)]), Some((9000 * 1024, 6000 * 1024)));
        assert_eq!(read(&[]), None, "another system");
        assert_eq!(read(&[("proc/meminfo", "MemTotal: some\n")]), None);
    }

    #[test]
    fn the_tightest_group_around_the_process_counts() {
        let files = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "0::/pods/one\n"),
            ("sys/fs/cgroup/pods/memory.max", "4000000\n"),
            ("sys/fs/cgroup/pods/memory.current", "3500000\n"),
            ("sys/fs/cgroup/pods/memory.stat", "anon 1\ninactive_file 500000\n"),
            ("sys/fs/cgroup/pods/one/memory.max", "max\n"),
            ("sys/fs/cgroup/pods/one/memory.current", "1\n"),
        ];
        assert_eq!(read(&files), Some((4_000_000, 1_000_000)));
    }

    #[test]
    fn a_container_sees_its_limit_at_the_root() {
        let two = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "2000000\n"),
            ("sys/fs/cgroup/memory.current", "500000\n"),
        ];
        assert_eq!(read(&two), Some((2_000_000, 1_500_000)));
        let one = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "9:cpu,cpuacct:/\n4:memory:/docker/of-the-host\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "3000000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "900000\n"),
            ("sys/fs/cgroup/memory/memory.stat", "total_inactive_file 400000\n"),
        ];
        assert_eq!(read(&one), Some((3_000_000, 2_500_000)));
    }

    #[test]
    fn a_limit_beyond_the_machine_is_none() {
        let files = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "4:memory:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "900000\n"),
        ];
        assert_eq!(read(&files), Some((9000 * 1024, 6000 * 1024)));
    }
}
