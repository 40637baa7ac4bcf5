use std::collections::BTreeMap;
use std::fs;

use core_affinity::CoreId;

/// The CPUs that this process may run on.
#[derive(Clone, Debug)]
pub(super) struct Cores {
    /// One CPU of each core, then what else the cores have: no two replicas share a core before
    /// every core has one.
    cpus: Vec<CoreId>,
    physical: usize,
}

// === impl Cores ===

impl Cores {
    /// Asks the system. To be called before any thread is pinned: a pinned one sees one CPU.
    pub(super) fn of_this_process() -> Self {
        let allowed = core_affinity::get_core_ids().unwrap_or_default();
        let siblings = allowed.iter().map(|cpu| siblings(cpu.id)).collect::<Option<Vec<_>>>();
        match siblings {
            Some(siblings) if !siblings.is_empty() => Self::grouped(&allowed, &siblings),
            // Only Linux says which CPUs share a core.
            _ => Self { cpus: allowed, physical: num_cpus::get_physical() },
        }
    }

    /// Cores to keep busy: those that the affinity mask leaves, within the quota of the control
    /// group. Threads that share a core slow each other down where the work is arithmetic.
    pub(super) fn usable(&self) -> usize {
        let parallelism = std::thread::available_parallelism().map_or(1, usize::from);
        parallelism.min(self.physical).max(1)
    }

    /// Ties the calling thread to the CPU of replica `index`; `false` where the system does not.
    pub(super) fn pin(&self, index: usize) -> bool {
        let cpu = self.cpus.get(index % self.cpus.len().max(1));
        cpu.is_some_and(|&cpu| core_affinity::set_for_current(cpu))
    }

    /// `siblings[i]` is the same text for all CPUs that share a core with `allowed[i]`.
    fn grouped(allowed: &[CoreId], siblings: &[String]) -> Self {
        let mut seen = BTreeMap::<&str, usize>::new();
        let mut ranked: Vec<(usize, CoreId)> = Vec::with_capacity(allowed.len());
        for (&cpu, core) in allowed.iter().zip(siblings) {
            let place = seen.entry(core).or_default();
            ranked.push((*place, cpu));
            *place += 1;
        }
        ranked.sort();
        Self { physical: seen.len(), cpus: ranked.into_iter().map(|(_, cpu)| cpu).collect() }
    }
}

/// The CPUs that share a core with `cpu`, itself included, as Linux lists them.
fn siblings(cpu: usize) -> Option<String> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped(cpus: &[(usize, &str)]) -> Cores {
        let allowed: Vec<_> = cpus.iter().map(|&(id, _)| CoreId { id }).collect();
        let siblings: Vec<_> = cpus.iter().map(|&(_, core)| core.to_owned()).collect();
        Cores::grouped(&allowed, &siblings)
    }

    #[test]
    fn cpus_that_share_a_core_count_once() {
        let cores = grouped(&[(0, "0-1"), (1, "0-1"), (2, "2-3"), (3, "2-3"), (7, "6-7")]);
        assert_eq!(cores.physical, 3, "the mask leaves one CPU of the last core");
        let order: Vec<_> = cores.cpus.iter().map(|cpu| cpu.id).collect();
        assert_eq!(order, [0, 2, 7, 1, 3], "every core has a replica before any has two");
    }

    #[test]
    fn this_process_may_use_at_least_one_core_and_no_more_than_its_cpus() {
        let cores = Cores::of_this_process();
        let parallelism = std::thread::available_parallelism().unwrap().get();
        assert!((1..=parallelism).contains(&cores.usable()), "{cores:?}");
    }

    #[test]
    fn a_pinned_thread_stays_on_its_cpu() {
        let cores = Cores::of_this_process();
        let pinned = std::thread::spawn(move || {
            cores.pin(0).then(|| (cores.cpus[0], core_affinity::get_core_ids().unwrap()))
        });
        if let Some((cpu, allowed)) = pinned.join().unwrap() {
            assert!(!cfg!(target_os = "linux") || allowed == [cpu], "{allowed:?}, not {cpu:?}");
        }
        assert!(!Cores { cpus: Vec::new(), physical: 1 }.pin(0), "no CPU is known");
    }
}
