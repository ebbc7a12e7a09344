//! What makes an init go down in an orderly way: a signal, or for sysvinit its own word.

/// SIGRTMIN+3 by glibc's count: halt, for systemd.
pub(super) const SYSTEMD: u32 = 37;
const SIGINT: u32 = 2;
const SIGKILL: u32 = 9;
const SIGUSR2: u32 = 12;
const SIGTERM: u32 = 15;
const SIGPWR: u32 = 30;

/// The signal for the init with this process id. One that handles none of them is ended at once: the kernel does not
/// deliver to a namespace's init what it does not handle, and waiting would be for nothing.
pub(super) fn stop_signal(leader: u32) -> u32 {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{leader}/{name}")).unwrap_or_default();
    let program = program(leader);
    // Signals that a thread waits for in sigtimedwait(2) are neither caught nor, for that moment, blocked.
    let handled = if read("wchan").contains("sigtimedwait") { u64::MAX } else { handled(&read("status")) };
    choose(&program, read("comm").trim(), handled)
}

/// What sysvinit is told from inside. It takes SIGPWR for a failure of power, which Debian's answers by nothing.
pub(super) const SYSVINIT: [&str; 2] = ["/sbin/init", "0"];

/// Whether the init with this process id is sysvinit's.
pub(super) fn is_sysvinit(leader: u32) -> bool {
    program(leader) == "init"
}

/// Whether the init with this process id never says when the boot is over: it counts as ready when it runs. A
/// shell may be about to become systemd.
pub(super) fn says_nothing(leader: u32) -> bool {
    let program = program(leader);
    !program.is_empty() && !["systemd", "sh", "bash", "dash"].contains(&program.as_str())
}

fn program(leader: u32) -> String {
    let program = std::fs::read_link(format!("/proc/{leader}/exe")).unwrap_or_default();
    program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether a signal would arrive now. The kernel drops what a namespace's init does not handle, and systemd
/// handles its own only after its first milliseconds.
pub(super) fn would_arrive(leader: u32, signal: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{leader}/status"));
    // One that is gone needs no waiting for.
    signal == SIGKILL || status.map_or(true, |status| handled(&status) & (1 << (signal - 1)) != 0)
}

fn choose(program: &str, name: &str, handled: u64) -> u32 {
    if program == "systemd" {
        // Even one that has not come so far yet: it will.
        return SYSTEMD;
    }
    if program.starts_with("busybox") && matches!(name, "init" | "linuxrc") {
        return SIGUSR2;
    }
    let wanted: &[u32] = match program {
        // It blocks what it does not know, and SIGINT is a reboot to it.
        "openrc-init" => &[SIGTERM],
        "init" | "runit-init" => &[SIGPWR, SIGTERM, SIGINT],
        _ => &[SIGTERM, SIGINT],
    };
    wanted.iter().copied().find(|signal| handled & (1 << (signal - 1)) != 0).unwrap_or(SIGKILL)
}

/// Signals caught by a handler, or blocked: then a signalfd(2) or sigwait(3) takes them.
pub(crate) fn handled(status: &str) -> u64 {
    status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| matches!(*name, "SigCgt" | "SigBlk"))
        .filter_map(|(_, value)| u64::from_str_radix(value.trim(), 16).ok())
        .fold(0, |all, mask| all | mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_gets_its_own_signal_even_while_it_starts() {
        assert_eq!(choose("systemd", "systemd", 0), SYSTEMD);
    }

    #[test]
    fn a_program_that_handles_nothing_is_killed() {
        assert_eq!(choose("sleep", "sleep", 0), SIGKILL);
        assert_eq!(choose("nginx", "nginx", 1 << (SIGTERM - 1)), SIGTERM);
    }

    #[test]
    fn busybox_is_an_init_only_under_that_name() {
        assert_eq!(choose("busybox", "init", 0), SIGUSR2);
        assert_eq!(choose("busybox", "sleep", 0), SIGKILL);
    }

    #[test]
    fn openrc_is_asked_by_what_it_takes_for_a_shutdown() {
        assert_eq!(choose("openrc-init", "openrc-init", u64::MAX), SIGTERM);
    }

    #[test]
    fn blocked_signals_count_as_handled() {
        let status = "SigBlk:\t0000000000000002\nSigIgn:\tffffffffffffffff\nSigCgt:\t0000000000004000\n";
        assert_eq!(handled(status), 1 << (SIGINT - 1) | 1 << (SIGTERM - 1));
        assert_eq!(choose("daemon", "daemon", handled(status)), SIGTERM);
    }
}
