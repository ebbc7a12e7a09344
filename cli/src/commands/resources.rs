//! `info --resources`: processors, memory, disks and network interfaces of this host, from procfs and sysfs.
//! Nothing is asked of the daemon; with `-H` it is the other host that looks.

use crate::failure::Failure;
use crate::render::{self, Format};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What a host has.
#[derive(Debug, Serialize)]
struct Resources {
    cpu: Cpu,
    memory: Memory,
    disks: Vec<Disk>,
    network: Vec<Card>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Cpu {
    architecture: String,
    vendor: String,
    name: String,
    sockets: usize,
    cores: usize,
    threads: usize,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Memory {
    total: u64,
    used: u64,
    swap_total: u64,
    swap_used: u64,
}

#[derive(Debug, Serialize)]
struct Disk {
    id: String,
    model: String,
    size: u64,
    read_only: bool,
    removable: bool,
    rotational: bool,
}

#[derive(Debug, Serialize)]
struct Card {
    id: String,
    address: String,
    driver: String,
    state: String,
    /// Megabits per second, while there is a link.
    speed: Option<u64>,
}

/// Shows them.
pub(crate) fn run(format: Format) -> Result<(), Failure> {
    let found = Resources::read(Path::new("/"))?;
    render::show_one(format, || describe(&found), &found)
}

impl Resources {
    /// Those of the host whose root is `root`.
    fn read(root: &Path) -> Result<Self, Failure> {
        let read = |name: &str| {
            let path = root.join(name);
            std::fs::read_to_string(&path).map_err(|e| Failure::io(path.display(), &e))
        };
        Ok(Resources {
            cpu: cpu(&read("proc/cpuinfo")?),
            memory: memory(&read("proc/meminfo")?),
            disks: entries(&root.join("sys/block")).iter().filter_map(|path| disk(path)).collect(),
            network: entries(&root.join("sys/class/net")).iter().filter_map(|path| card(path)).collect(),
        })
    }
}

/// The value of each line `key : value`.
fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key.trim(), value.trim()))
}

fn cpu(text: &str) -> Cpu {
    let mut cpu = Cpu { architecture: std::env::consts::ARCH.to_owned(), ..Cpu::default() };
    let (mut sockets, mut cores, mut socket) = (BTreeSet::new(), BTreeSet::new(), "");
    for (key, value) in fields(text) {
        match key {
            "processor" => cpu.threads += 1,
            "vendor_id" => value.clone_into(&mut cpu.vendor),
            "model name" => value.clone_into(&mut cpu.name),
            "physical id" => {
                socket = value;
                sockets.insert(value);
            }
            "core id" => drop(cores.insert((socket, value))),
            _ => {}
        }
    }
    // Machines that do not tell have one socket, and a core for each thread.
    cpu.sockets = sockets.len().max(1);
    cpu.cores = if cores.is_empty() { cpu.threads } else { cores.len() };
    cpu
}

fn memory(text: &str) -> Memory {
    let bytes = |wanted: &str| {
        let kib =
            fields(text).find(|(key, _)| *key == wanted).and_then(|(_, value)| value.strip_suffix(" kB")?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    };
    let (total, swap_total) = (bytes("MemTotal"), bytes("SwapTotal"));
    let used = total.saturating_sub(bytes("MemAvailable"));
    Memory { total, used, swap_total, swap_used: swap_total.saturating_sub(bytes("SwapFree")) }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn attribute(path: &Path, name: &str) -> String {
    std::fs::read_to_string(path.join(name)).unwrap_or_default().trim().to_owned()
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A disk with something in it; what the kernel makes of memory or of files is none.
fn disk(path: &Path) -> Option<Disk> {
    let id = name(path);
    if ["loop", "ram", "zram"].iter().any(|kind| id.starts_with(kind)) {
        return None;
    }
    // In sectors of 512 bytes, whatever the disk's own are.
    let size = attribute(path, "size").parse::<u64>().ok()?.checked_mul(512).filter(|size| *size > 0)?;
    let is = |name: &str| attribute(path, name) == "1";
    let model = attribute(path, "device/model");
    Some(Disk { id, model, size, read_only: is("ro"), removable: is("removable"), rotational: is("queue/rotational") })
}

/// A card; bridges and the like have no device behind them.
fn card(path: &Path) -> Option<Card> {
    path.join("device").exists().then(|| Card {
        id: name(path),
        address: attribute(path, "address"),
        driver: std::fs::read_link(path.join("device/driver")).map(|link| name(&link)).unwrap_or_default(),
        state: attribute(path, "operstate"),
        speed: attribute(path, "speed").parse().ok(),
    })
}

/// As LXD's `info --resources` says it.
fn describe(found: &Resources) -> String {
    let (cpu, memory) = (&found.cpu, &found.memory);
    let mut out = format!("CPU ({}):\n", cpu.architecture);
    for (key, value) in [("Vendor", &cpu.vendor), ("Name", &cpu.name)] {
        if !value.is_empty() {
            let _ = writeln!(out, "  {key}: {}", render::printable(value));
        }
    }
    let _ = writeln!(out, "  Sockets: {}\n  Cores: {}\n  Threads: {}", cpu.sockets, cpu.cores, cpu.threads);
    let free = memory.total.saturating_sub(memory.used);
    let shown = [free, memory.used, memory.total].map(render::bytes);
    let _ = writeln!(out, "\nMemory:\n  Free: {}\n  Used: {}\n  Total: {}", shown[0], shown[1], shown[2]);
    if memory.swap_total > 0 {
        let _ = writeln!(out, "  Swap: {} of {}", render::bytes(memory.swap_used), render::bytes(memory.swap_total));
    }
    if !found.disks.is_empty() {
        out.push_str("\nDisks:\n");
    }
    for disk in &found.disks {
        let notes = [(disk.read_only, "read-only"), (disk.removable, "removable"), (disk.rotational, "rotational")];
        let notes: String = notes.iter().filter(|(is, _)| *is).map(|(_, note)| format!(", {note}")).collect();
        let model = if disk.model.is_empty() { String::new() } else { format!(" ({})", disk.model) };
        let line = format!("  {}{model}: {}{notes}", disk.id, render::bytes(disk.size));
        let _ = writeln!(out, "{}", render::printable(&line));
    }
    if !found.network.is_empty() {
        out.push_str("\nNetwork cards:\n");
    }
    for card in &found.network {
        let speed = card.speed.map(|speed| format!(", {speed} Mbit/s")).unwrap_or_default();
        let line = format!("  {} ({}): {}, {}{speed}", card.id, card.driver, card.address, card.state);
        let _ = writeln!(out, "{}", render::printable(&line));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_cores_and_cores_share_sockets() {
        let thread = |n: u8, core: u8, socket: u8| {
            format!("processor\t: {n}\nvendor_id\t: V\nmodel name\t: Fast: one\nphysical id\t: {socket}\ncore id\t: {core}\n\n")
        };
        let text: String = [thread(0, 0, 0), thread(1, 0, 0), thread(2, 1, 0), thread(3, 0, 1)].concat();
        let found = cpu(&text);
        assert_eq!((found.sockets, found.cores, found.threads, found.name.as_str()), (2, 3, 4, "Fast: one"));
        let silent = cpu("processor : 0\nprocessor : 1\n");
        assert_eq!((silent.sockets, silent.cores, silent.threads), (1, 2, 2));
    }

    #[test]
    fn used_is_what_is_not_available() {
        let text =
            "MemTotal:       1000 kB\nMemFree:         100 kB\nMemAvailable:    400 kB\nSwapTotal: 50 kB\nSwapFree: 20 kB\n";
        let wanted = Memory { total: 1_024_000, used: 614_400, swap_total: 51_200, swap_used: 30_720 };
        assert_eq!(memory(text), wanted);
    }

    #[test]
    fn disks_and_cards_are_found_and_what_is_none_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        put("proc/cpuinfo", "processor : 0\n");
        put("proc/meminfo", "MemTotal: 1 kB\n");
        for (disk, size) in [("sda", "2048\n"), ("loop0", "8\n"), ("sr0", "0\n")] {
            put(&format!("sys/block/{disk}/size"), size);
        }
        put("sys/block/sda/device/model", "Big\u{1b}Disk\n");
        put("sys/class/net/eth0/address", "02:00:00:00:00:01\n");
        put("sys/class/net/eth0/operstate", "up\n");
        put("sys/class/net/eth0/device/vendor", "x\n");
        put("sys/class/net/lxbr0/address", "02:00:00:00:00:02\n");
        let found = Resources::read(root.path()).unwrap();
        assert_eq!(found.disks.iter().map(|disk| (disk.id.as_str(), disk.size)).collect::<Vec<_>>(), [("sda", 1 << 20)]);
        assert_eq!(found.network.iter().map(|card| card.id.as_str()).collect::<Vec<_>>(), ["eth0"]);
        let text = describe(&found);
        assert!(text.contains("sda (Big\u{fffd}Disk): 1.00MiB") && text.contains("02:00:00:00:00:01, up"), "{text}");
        assert!(Resources::read(&root.path().join("none")).is_err());
    }
}
